from pathlib import Path

import numpy as np
import pytest

from kexport.runtime import BundleRefused, Prediction, load
from kexport.runtime.labels import ranked


def labels_of(bundle: Path, content: bytes, reseal) -> tuple[str, ...] | None:
    (bundle / "labels.txt").write_bytes(content)
    reseal(bundle)
    return load(bundle).labels


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb c\n\xc3\xa4\n\nd\n",
        b"a\nb c\n\xc3\xa4\n\nd",
        b"a\r\nb c\r\n\xc3\xa4\r\n\r\nd\r\n",
        b"\xef\xbb\xbfa\nb c\n\xc3\xa4\n\nd\n",
    ],
    ids=["plain", "no last newline", "Windows", "byte order mark"],
)
def test_one_label_a_line(bundle: Path, content: bytes, reseal):
    assert labels_of(bundle, content, reseal) == ("a", "b c", "ä", "", "d")


def test_only_newlines_separate_labels(bundle: Path, reseal):
    labels = labels_of(bundle, "a\u2028b\nc\x0bd\ne\x85f\ng\nh\n".encode(), reseal)
    assert labels == ("a\u2028b", "c\x0bd", "e\x85f", "g", "h")


def test_a_bundle_without_labels(build):
    assert load(build(labels=None)).labels is None


@pytest.mark.parametrize("count", [4, 6, 0])
def test_the_number_of_labels_must_be_the_number_of_classes(build, count: int):
    with pytest.raises(BundleRefused) as caught:
        load(build(labels=["x"] * count))
    fault = f"labels.txt has {count} labels, but the model has 5 classes"
    assert str(caught.value) == fault


def test_features_have_no_classes(build):
    assert load(build(outputs=("features",))).labels is not None


def test_labels_that_are_not_utf8(bundle: Path, reseal):
    with pytest.raises(BundleRefused, match=r"labels\.txt cannot be read"):
        labels_of(bundle, b"\xff\n" * 5, reseal)


def test_equal_scores_keep_their_order():
    scores = np.tile(np.array([0.1, 0.4], np.float32), 50)
    found = [item.index for item in ranked(scores, None, 100)]
    assert found == [*range(1, 100, 2), *range(0, 100, 2)]


def test_scores_are_python_floats():
    (best,) = ranked(np.array([0.25, 0.5], np.float32), ["a", "b"], 1)
    assert best == Prediction(1, "b", 0.5)
    assert (type(best.index), type(best.score)) == (int, float)

"""Recall of neighbours against scikit-learn, and PSNR against TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from kexport.errors import BadArgument
from kexport.measures.measure import compare, value_interval
from kexport.measures.output_images import Similarity
from kexport.measures.vectors import NEAREST, Neighbours
from kexport.runtime.embed import Embedding
from kexport.runtime.output_image import OutputImage
from kexport.runtime.resize import Resize

RNG = np.random.default_rng(5)


def test_recall_is_that_of_the_nearest_by_cosine() -> None:
    """The only image of a group is not asked for, but may be found."""
    groups = (*RNG.integers(0, 6, 39).tolist(), 99)
    vectors = RNG.normal(size=(40, 4)) + np.array(groups)[:, np.newaxis] * [1, -1, 0.5, 0.2]
    measure = Neighbours(groups)
    kept = [measure.keep(Embedding(vector), row) for row, vector in enumerate(vectors)]
    near = NearestNeighbors(n_neighbors=NEAREST + 1, metric="cosine").fit(vectors)
    order = near.kneighbors(vectors, return_distance=False)
    expected = {}
    for count in (1, NEAREST):
        hits = [
            any(groups[one] == groups[row] for one in order[row] if one != row)
            if count > 1
            else groups[next(one for one in order[row] if one != row)] == groups[row]
            for row in range(39)
        ]
        expected[f"recall_at_{count}"] = np.mean(hits)
    assert measure.summary(kept) == pytest.approx(expected)
    assert measure.doubt(kept) is None
    found = compare(measure, kept, kept, 0.95)
    assert found.interval[0] < found.drop == 0 < found.interval[1]


def test_groups_of_one_image_tell_nothing() -> None:
    measure = Neighbours((0, 1, 2))
    kept = [measure.keep(Embedding(RNG.normal(size=3)), row) for row in range(3)]
    with pytest.raises(BadArgument, match="no two of the 3 labelled images"):
        measure.summary(kept)


def test_vectors_that_know_nothing_are_a_doubt() -> None:
    measure = Neighbours(tuple([0, 1] * 10))
    kept = [measure.keep(Embedding(np.array([row // 2, 1.0])), row) for row in range(20)]
    assert measure.doubt(kept) == "finds the right neighbour no more often than chance"


@pytest.fixture
def targets(tmp_path: Path) -> np.ndarray:
    images = RNG.integers(0, 256, (20, 6, 8, 3)).astype(np.uint8)
    for row, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{row}.png")
    return images


def test_psnr_is_that_of_tensorflow(targets: np.ndarray, tmp_path: Path) -> None:
    import tensorflow as tf

    noise = RNG.normal(0, 9, targets.shape)
    found = np.clip(targets + noise, 0, 255).astype(np.uint8)
    measure = Similarity(tuple(tmp_path / f"{row}.png" for row in range(20)), Resize())
    kept = [measure.keep(OutputImage(image), row) for row, image in enumerate(found)]
    expected = tf.image.psnr(found, targets, 255).numpy()
    assert kept == pytest.approx(expected.tolist(), rel=1e-5)
    low, high = value_interval(measure, kept, 0.95)
    assert low < measure.summary(kept)["psnr"] < high
    worse = [one * 0.97 for one in kept]
    assert compare(measure, kept, worse, 0.95).drop == pytest.approx(0.03)


def test_an_equal_image_has_the_psnr_of_rounding(targets: np.ndarray, tmp_path: Path) -> None:
    measure = Similarity((tmp_path / "0.png",), Resize())
    assert measure.keep(OutputImage(targets[0]), 0) == pytest.approx(58.92, abs=0.01)


def test_a_larger_target_is_resized_as_images_are(tmp_path: Path) -> None:
    large = RNG.integers(0, 256, (12, 16)).astype(np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    small = np.asarray(Image.fromarray(large).resize((8, 6), Image.Resampling.BILINEAR))
    measure = Similarity((tmp_path / "large.png",), Resize("pil-bilinear"))
    assert measure.keep(OutputImage(small[..., np.newaxis]), 0) > 58

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kexport.runtime import BadImage, BadInput, EngineMissing, Prediction, load
from kexport.runtime.image import pixels
from kexport.runtime.manifest_schema import FITS, METHODS
from kexport.runtime.resize import Resize

GREEN = np.full((8, 6, 3), (20, 200, 40), np.uint8)


def test_the_best_classes_by_name(bundle: Path, truth):
    expected = truth(GREEN[None])["probabilities"][0]
    found = load(bundle).classify(GREEN, top_k=2)
    assert [(item.index, item.label) for item in found] == [(2, "grass"), (0, "coal")]
    np.testing.assert_allclose([item.score for item in found], expected[[2, 0]], rtol=1e-5)


def test_scores_of_all_classes_add_up_to_one(bundle: Path):
    found = load(bundle).classify(GREEN, top_k=99)
    assert sorted(item.index for item in found) == [0, 1, 2, 3, 4]
    assert sum(item.score for item in found) == pytest.approx(1.0)


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_below_one(bundle: Path, top_k: int):
    with pytest.raises(BadInput, match="top_k must be 1 or more"):
        load(bundle).classify(GREEN, top_k=top_k)


def test_logits_are_scored_by_their_softmax(build):
    shown = load(build("a", outputs=("probabilities",))).classify(GREEN)
    inner = load(build("b", outputs=("logits",))).classify(GREEN)
    assert [item.label for item in inner] == [item.label for item in shown]
    np.testing.assert_allclose([i.score for i in inner], [s.score for s in shown], rtol=1e-5)


def test_features_are_not_scores(build):
    session = load(build(outputs=("features",), labels=None))
    with pytest.raises(BadInput, match=r"no class scores: its outputs are features \(features\)"):
        session.classify(GREEN)


@pytest.mark.parametrize("batch", [1, 4, None])
def test_scores_do_not_depend_on_the_batch(build, batch):
    assert load(build(batch=batch)).classify(GREEN)[0].label == "grass"


def test_path_image_and_array_give_equal_scores(bundle: Path, tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 256, (31, 47, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    session = load(bundle)
    by_path = session.classify(tmp_path / "noise.png")
    assert by_path == session.classify(str(tmp_path / "noise.png"))
    assert by_path == session.classify(Image.open(tmp_path / "noise.png"))
    assert by_path == session.classify(noise)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("method", METHODS)
def test_images_are_resized_as_the_manifest_says(bundle: Path, rewrite, method: str, fit: str):
    noise = np.random.default_rng(1).integers(0, 256, (31, 47, 3), np.uint8)
    rewrite(bundle, lambda data: data["inputs"][0].update(resize={"method": method, "fit": fit}))
    session = load(bundle)
    assert session.manifest.inputs[0].resize == Resize(method, fit)
    fitted = pixels(noise, (8, 6), "RGB", Resize(method, fit))
    assert session.classify(noise) == session.classify(fitted)


def test_bundles_that_do_not_say_are_resized_as_load_img_does(bundle: Path):
    noise = np.random.default_rng(1).integers(0, 256, (31, 47, 3), np.uint8)
    nearest = np.asarray(Image.fromarray(noise).resize((6, 8), Image.Resampling.NEAREST))
    session = load(bundle)
    assert session.classify(noise) == session.classify(nearest)


def test_classes_without_labels_are_numbered(build):
    best = load(build(labels=None)).classify(GREEN, top_k=1)
    assert best == [Prediction(2, "class 2", best[0].score)]


def test_a_damaged_image(bundle: Path, tmp_path: Path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0nonsense")
    with pytest.raises(BadImage) as caught:
        load(bundle).classify(tmp_path / "bad.jpg")
    assert caught.value.exit_code == 15


def test_a_float_image(bundle: Path):
    with pytest.raises(
        BadInput, match=r"must be uint8 \[height, width, 3\], got float32"
    ) as caught:
        load(bundle).classify(GREEN.astype(np.float32) / 255)
    assert caught.value.hint == "pass one image of uint8 0..255: preprocessing is inside the model"


def test_an_array_of_the_right_size_needs_no_pillow(bundle: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    session = load(bundle)
    assert session.classify(GREEN)[0].label == "grass"
    with pytest.raises(EngineMissing) as caught:
        session.classify(tmp_path / "any.jpg")
    assert (caught.value.exit_code, caught.value.hint) == (17, "run: pip install pillow")

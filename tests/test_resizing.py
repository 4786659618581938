"""Images are resized on the device as they were for training, and the way is found by trying."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import kexport
from kexport import runtime
from kexport.errors import BadArgument, ExportWarning
from kexport.options.image_input import ImageInput
from kexport.runtime.image import pixels
from kexport.runtime.resize import Resize

SIZE = (24, 24)
COUNT = 60
"""Images of each class."""


def grating(rng: np.random.Generator, *, fine: bool) -> np.ndarray:
    """Draw a photograph-like image of any size: noise that is smooth, or of single pixels.

    Resized by the nearest pixel, both have as much contrast; interpolated, the second has less.
    """
    height, width = (int(side) for side in rng.integers(60, 130, 2))
    step = 1 if fine else 6
    small = rng.integers(0, 256, (height // step + 1, width // step + 1, 3))
    return small.repeat(step, 0).repeat(step, 1)[:height, :width].astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of labelled PNGs of many sizes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, fine in (("coarse", False), ("fine", True)):
        (folder / name).mkdir()
        for index in range(COUNT):
            Image.fromarray(grating(rng, fine=fine)).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def classifier(photos: Path) -> keras.Model:
    """Return a model whose classes differ by contrast, as `image_dataset_from_directory` resizes.

    The score of "fine" rises as the spread of the pixels falls; the threshold lies between the
    classes, as training would find it.
    """
    dataset = keras.utils.image_dataset_from_directory(
        photos, image_size=SIZE, batch_size=2 * COUNT, shuffle=False, verbose=False
    )
    ((images, labels),) = dataset
    spread = np.abs(np.asarray(images) - 127.5).mean(axis=(1, 2, 3))
    middle = (spread[np.asarray(labels) == 0].min() + spread[np.asarray(labels) == 1].max()) / 2
    image = keras.Input((*SIZE, 3), name="image")
    distance = keras.layers.ReLU()(keras.layers.Conv2D(6, 1, name="both_sides")(image))
    mean = keras.layers.GlobalAveragePooling2D()(distance)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="scores")(mean))
    sides = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    model.get_layer("both_sides").set_weights(
        [sides.reshape(1, 1, 3, 6).astype(np.float32), np.repeat([-127.5, 127.5], 3)]
    )
    # the mean of |x - 127.5| over the channels is the sum of the six means, divided by 3
    weights = np.stack([np.full(6, 1 / 3), np.full(6, -1 / 3)], axis=1)
    model.get_layer("scores").set_weights([weights, np.array([-middle, middle])])
    assert accuracy_of(model, images, labels) > 0.95
    return model


def accuracy_of(model: keras.Model, images: Any, labels: Any) -> float:
    scores = np.asarray(model(np.asarray(images), training=False))
    return float((scores.argmax(axis=1) == np.asarray(labels)).mean())


def accuracy_on_device(bundle: Path, photos: Path) -> float:
    session = runtime.load(bundle)
    names = sorted(folder.name for folder in photos.iterdir())
    right = [
        session.classify(path, top_k=1)[0].index == names.index(path.parent.name)
        for path in sorted(photos.rglob("*.png"))
    ]
    assert len(right) == 2 * COUNT
    return float(np.mean(right))


def exported(model: keras.Model, folder: Path, **more: Any) -> kexport.Bundle:
    options = {key: more.pop(key) for key in ("format", "dtype", "resize_outside") if key in more}
    return kexport.export(
        model,
        more.pop("target", "cpu-fp32"),
        output=folder / "b",
        recipe=kexport.Recipe(preprocess="none"),
        image_input=ImageInput(**options),
        **more,
    )


def test_the_default_has_the_accuracy_of_keras(
    classifier: keras.Model, photos: Path, tmp_path: Path
) -> None:
    bundle = exported(classifier, tmp_path, labels=photos)
    assert bundle.manifest["inputs"][0]["resize"] == {"method": "tf-bilinear", "fit": "stretch"}
    assert bundle.resize_trial is None
    of_device = accuracy_on_device(bundle.path, photos)
    nearest = exported(classifier, tmp_path / "n", labels=photos, resize_outside="pil-nearest")
    assert of_device > 0.95
    assert accuracy_on_device(nearest.path, photos) < 0.7


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_pixels_are_those_of_the_method(
    classifier: keras.Model, photos: Path, tmp_path: Path, dtype: Any
) -> None:
    bundle = exported(classifier, tmp_path, resize_outside="cv2-area,crop", dtype=dtype)
    path = photos / "fine" / "0.png"
    fitted = pixels(path, SIZE, "RGB", Resize("cv2-area", "crop"))
    wanted = np.asarray(classifier(fitted[np.newaxis].astype(np.float32), training=False))[0]
    found = {one.index: one.score for one in runtime.load(bundle.path).classify(path)}
    np.testing.assert_allclose([found[0], found[1]], wanted, atol=1e-5)


def test_auto_finds_how_the_images_were_resized(
    classifier: keras.Model, photos: Path, tmp_path: Path
) -> None:
    calibration = kexport.Calibration(eval_data=photos)
    bundle = exported(classifier, tmp_path, resize_outside="auto", calibration=calibration)
    trial = bundle.resize_trial
    assert trial is not None
    assert trial.images == 2 * COUNT
    assert trial.chosen == trial.compared == "tf-bilinear"
    assert trial.accuracies["tf-bilinear"] > 0.95
    assert trial.accuracies["pil-nearest"] < 0.7
    assert not trial.is_clear
    assert bundle.manifest["inputs"][0]["resize"]["method"] == "tf-bilinear"


def test_another_way_that_is_better_is_told(
    classifier: keras.Model, photos: Path, tmp_path: Path
) -> None:
    calibration = kexport.Calibration(eval_data=photos)
    with pytest.warns(ExportWarning, match="no better than chance"):
        bundle = exported(
            classifier, tmp_path, resize_outside="pil-nearest", calibration=calibration
        )
    trial = bundle.resize_trial
    assert trial is not None
    assert (trial.chosen, trial.images, trial.is_clear) == ("pil-nearest", 100, True)
    assert trial.best.startswith("tf-bilinear") or trial.best == "pil-bilinear"
    assert trial.accuracies[trial.best] > 0.95
    assert bundle.manifest["inputs"][0]["resize"]["method"] == "pil-nearest"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_int8_is_calibrated_and_judged_on_images_resized_that_way(
    classifier: keras.Model, photos: Path, tmp_path: Path, dtype: Any
) -> None:
    calibration = kexport.Calibration(data=photos, eval_data=photos, max_drop=0.2)
    found = {}
    for method in ("tf-bilinear", "pil-nearest"):
        is_bad = method == "pil-nearest"
        with pytest.warns(ExportWarning, match="chance") if is_bad else nullcontext():
            bundle = exported(
                classifier,
                tmp_path / method,
                target="cpu-int8",
                resize_outside=method,
                dtype=dtype,
                calibration=calibration,
            )
        found[method] = bundle.manifest["quantization"]["keras"]["top1"]
        assert bundle.manifest["inputs"][0]["resize"]["method"] == method
        assert accuracy_on_device(bundle.path, photos) == pytest.approx(found[method], abs=0.1)
    assert found["tf-bilinear"] > 0.95
    assert found["pil-nearest"] < 0.7


def test_applications_are_resized_as_load_img_does(tmp_path: Path) -> None:
    bundle = kexport.export(
        "mobilenet",
        "cpu-fp32",
        output=tmp_path / "b",
        recipe=kexport.Recipe(weights=None, alpha=0.25, classes=4, input_shape=(32, 32, 3)),
    )
    assert bundle.manifest["inputs"][0]["resize"] == {"method": "pil-nearest", "fit": "stretch"}


def any_size() -> keras.Model:
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(image)))


def test_a_model_of_any_size_has_no_resizing(tmp_path: Path) -> None:
    bundle = exported(any_size(), tmp_path)
    assert "resize" not in bundle.manifest["inputs"][0]
    with pytest.raises(BadArgument, match="takes images of any size"):
        exported(any_size(), tmp_path / "c", resize_outside="tf-area")


def test_a_resize_in_the_graph_has_none_outside(classifier: keras.Model, tmp_path: Path) -> None:
    image_input = ImageInput(resize="bilinear")
    bundle = kexport.export(
        classifier,
        "cpu-fp32",
        output=tmp_path / "b",
        recipe=kexport.Recipe(preprocess="none"),
        image_input=image_input,
    )
    assert "resize" not in bundle.manifest["inputs"][0]
    assert image_input.outside == Resize("tf-bilinear")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"resize_outside": "bilinear"}, "no resizing outside the graph is called 'bilinear'"),
        ({"resize_outside": "tf-area,tile"}, "no fit is called 'tile'"),
        ({"resize_outside": "auto,crop"}, "no resizing outside the graph is called 'auto'"),
        ({"resize_outside": "tf-area", "resize": "nearest"}, "the graph resizes images itself"),
    ],
)
def test_words_that_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        ImageInput(**given)


def test_auto_needs_labelled_images_and_classes(
    classifier: keras.Model, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match="'auto' needs labelled images"):
        exported(classifier, tmp_path, resize_outside="auto")
    image = keras.Input((8, 8, 3))
    encoder = keras.Model(image, keras.layers.Conv2D(3, 3)(image))
    calibration = kexport.Calibration(eval_data=photos)
    with pytest.raises(BadArgument, match="'auto' needs a model that scores classes"):
        exported(encoder, tmp_path, resize_outside="auto", calibration=calibration)
    with pytest.raises(BadArgument, match="the task raw has no measure"):
        exported(encoder, tmp_path, calibration=calibration)

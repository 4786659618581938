"""INT8 for every format, layout, dtype and resize of the images that a graph takes."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from support import healthy, small_classifier

from kexport.api import export
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.image_input import FORMATS, RESIZES, ImageInput
from kexport.source.synthetic_images import draw_images

pytestmark = pytest.mark.slow

INPUTS = [
    *(ImageInput(format=form) for form in FORMATS),
    *(ImageInput(format=form, resize="bilinear") for form in FORMATS),
    *(ImageInput(resize=resize, crop="center") for resize in RESIZES),
    *(ImageInput(format=form, layout="nchw", dtype="float32") for form in ("bgr", "gray")),
    ImageInput(layout="nchw", resize="nearest"),
]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return healthy(small_classifier(), "tf")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(draw_images(40, 31, 45, seed=7)):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


CASES = [
    *(("cpu-int8", given) for given in INPUTS),
    *(("jetson-orin-int8", given) for given in INPUTS[::4]),
]


@pytest.mark.parametrize(("target", "given"), CASES, ids=str)
def test_a_bundle_is_proven(
    model: keras.Model, photographs: Path, tmp_path: Path, target: str, given: ImageInput
) -> None:
    bundle = export(
        model,
        target,
        output=tmp_path / "bundle",
        recipe=Recipe(preprocess="tf"),
        image_input=given,
        calibration=Calibration(data=photographs, max_drop=1.0),
        batch="dynamic" if given.resize is None else 1,
    )
    (entry,) = bundle.manifest["inputs"]
    assert entry["color"] == given.color
    assert bundle.manifest["quantization"]["multiply_adds_int8"] > 0.4
    graph = [r for n, r in bundle.manifest["parity"]["outputs"].items() if n.startswith("graph:")]
    assert all(row["error"] < 0.05 for row in graph)
    assert np.load(bundle.path / "golden.npz")["image"].dtype == given.dtype


def test_a_grey_model_takes_grey_photographs(photographs: Path, tmp_path: Path) -> None:
    x = keras.Input((24, 24, 1))
    y = keras.layers.Conv2D(8, 3, activation="relu")(x)
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, keras.layers.Dense(5, activation="softmax")(y))
    bundle = export(
        model,
        "cpu-int8",
        output=tmp_path / "bundle",
        recipe=Recipe(preprocess="tf"),
        image_input=ImageInput(format="rgb"),
        calibration=Calibration(data=photographs, max_drop=1.0),
    )
    assert bundle.manifest["inputs"][0]["shape"] == [1, 24, 24, 3]

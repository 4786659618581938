"""One bundle of each kind: verified in Python, here in C++, and on aarch64; and the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from cpp_builds import Build, same_bits
from keras import layers
from support import digits_module, healthy, randomise, small_classifier

from kexport.api import Bundle, export
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.image_input import ImageInput
from kexport.runtime import verify
from kexport.source.synthetic_images import draw_images

SIZE = 16
ROOT = Path(__file__).resolve().parents[3]
DIGITS = ROOT / "examples" / "digits"
TF = Recipe(preprocess="tf")
Maker = Callable[[Path], Bundle]


def small(target: str = "cpu-fp32", **options: Any) -> Maker:
    """Return a function that exports an image classifier with these arguments."""
    if target.endswith("int8"):
        drawn = draw_images(16, SIZE, SIZE, seed=1)
        options = {"calibration": Calibration(data=drawn, max_drop=0.5), **options}

    def make(folder: Path) -> Bundle:
        model = healthy(small_classifier(SIZE), "tf")
        return export(model, target, output=folder, recipe=TF, **options)

    return make


def without_classifier(folder: Path) -> Bundle:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    model = keras.Model(image, layers.MaxPooling2D(name="pool")(x), name="small")
    return export(healthy(model, "tf"), "cpu-fp32", output=folder, recipe=TF)


def several_tensors(folder: Path) -> Bundle:
    numbers, image = keras.Input((4,), name="numbers"), keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="seen")(image))
    y = layers.Concatenate()([layers.Dense(2, name="read")(numbers), x])
    model = randomise(keras.Model([numbers, image], [layers.Dense(3, name="both")(y), x]))
    return export(model, "cpu-fp32", output=folder, recipe=Recipe(preprocess="raw"))


def no_image(folder: Path) -> Bundle:
    sample = keras.Input((7,), name="sample")
    model = randomise(keras.Model(sample, layers.Dense(5, activation="softmax")(sample)))
    return export(model, "cpu-fp32", output=folder)


def digits(folder: Path, target: str = "cpu-fp32", **options: Any) -> Bundle:
    options = {"labels": DIGITS / "labels.txt", **options}
    return export(DIGITS / "digits.keras", target, output=folder, recipe=TF, **options)


def digits_in_int8(folder: Path) -> Bundle:
    seen = digits_module(ROOT).split()[0].images[:24]
    return digits(folder, "arm64-int8", calibration=Calibration(data=seen, max_drop=0.1))


KINDS: dict[str, Maker] = {
    "fp32": small(),
    "fp16": small("trt-fp16"),
    "int8": small("cpu-int8"),
    "int8 for TensorRT": small("trt-int8"),
    "three at a time": small(batch=3),
    "any batch": small(batch="dynamic"),
    "best classes": small(top_k=3),
    "layers": small(output_layers=("pool", "top")),
    "regression": small(task="regress"),
    "labels": small(labels=[f"class number {i}" for i in range(10)]),
    "no classifier": without_classifier,
    "several tensors": several_tensors,
    "no image": no_image,
    "nv12": small(image_input=ImageInput(format="nv12")),
    "yuyv": small(image_input=ImageInput(format="yuyv")),
    "resized": small(image_input=ImageInput(format="bgra", resize="bilinear")),
    "planes of floats": small(image_input=ImageInput(layout="nchw", dtype="float32")),
    "digits": digits,
    "digits in int8 for Arm": digits_in_int8,
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the kind, which is exported once."""
    return KINDS[request.param](tmp_path_factory.mktemp("kind") / "bundle").path


def test_python_and_this_machine(kind: Path, plain: Build) -> None:
    """The program prints what Python prints, to the last digit."""
    found = verify(kind)
    assert found.passed
    done = plain.run("kexport-verify", kind)
    assert (done.status, done.out, done.err) == (0, f"{found}\n", "")


def test_aarch64(kind: Path, verify_on_aarch64: Callable[[Path], tuple[int, str]]) -> None:
    status, told = verify_on_aarch64(kind)
    assert status == 0, told


def test_outputs_equal_pythons_to_the_last_bit(kind: Path, sanitized: Build) -> None:
    assert same_bits(sanitized, kind)

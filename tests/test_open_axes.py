"""Models with open axes: exported open, checked at one size, and correct at others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from cpp_verifiers import Export
from keras import layers
from support import keras_answers, normal, randomise

from kexport import runtime
from kexport.api import export
from kexport.errors import BadArgument
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.image_input import ImageInput
from kexport.runtime.pixel_formats import encode
from kexport.source import random_weights
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import draw_images

SIZES = ((64, 80), (50, 34))


def segmenter() -> keras.Model:
    """Build a fully convolutional model with strides, pools and upsampling."""
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 3, padding="same", dilation_rate=2)(layers.MaxPooling2D(2)(y))
    y = layers.Conv2DTranspose(6, 2, strides=2)(y)
    y = layers.UpSampling2D(2, interpolation="bilinear")(y)
    return randomise(keras.Model(x, layers.Conv2D(5, 1, activation="softmax")(y), name="segment"))


def pooled(height: int | None = None) -> keras.Model:
    x = keras.Input((height, None, 3))
    y = layers.DepthwiseConv2D(3, strides=2, padding="same")(layers.Conv2D(6, 3)(x))
    y = layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(y))
    return randomise(keras.Model(x, y, name="pooled"))


def test_int8_with_open_height_and_width(export_and_verify: Export, tmp_path: Path) -> None:
    model, drawn = pooled(), draw_images(32, *SIZES[0], seed=1)
    random_weights.randomise(model, 0, prepare(drawn[:8], "tf"))
    bundle = export_and_verify(
        model,
        "cpu-int8",
        output=tmp_path / "b",
        recipe=Recipe(preprocess="tf"),
        calibration=Calibration(data=list(drawn), max_drop=0.3),
    )
    assert bundle.manifest["inputs"][0]["shape"] == [1, None, None, 3]
    assert bundle.manifest["quantization"]["multiply_adds_int8"] == 1
    session = runtime.load(bundle.path)
    for size in SIZES:
        given = draw_images(1, *size, seed=5)
        (wanted,) = keras_answers(model, [prepare(given, "tf")])
        (found,) = session.run(given).values()
        assert np.abs(found - wanted).max() < np.ptp(wanted) / 10


@pytest.mark.parametrize("batch", [2, "dynamic"])
@pytest.mark.parametrize("build", [segmenter, pooled])
def test_bundles_with_open_height_and_width(
    export_and_verify: Export, build: Any, batch: Any, tmp_path: Path
) -> None:
    model = build()
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="tf"), batch=batch
    )
    assert bundle.manifest["inputs"][0]["shape"] == [2 if batch == 2 else None, None, None, 3]
    assert all(row["error"] < 1e-5 for row in bundle.manifest["parity"]["outputs"].values())
    (declared,) = onnx.load(bundle.path / "model.onnx").graph.input
    names = [dim.dim_param for dim in declared.type.tensor_type.shape.dim]
    assert names == ["" if batch == 2 else "batch", "height", "width", ""]
    session = runtime.load(bundle.path)
    for size in SIZES:
        drawn = draw_images(2, *size, seed=5)
        (given,) = session.run(drawn).values()
        (wanted,) = keras_answers(model, [prepare(drawn, "tf")])
        assert given.shape == wanted.shape
        np.testing.assert_allclose(given, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["bgra", "gray", "nv12", "yuyv"])
def test_formats_with_open_height_and_width(
    export_and_verify: Export, name: Any, tmp_path: Path
) -> None:
    model, pixels = pooled(), ImageInput(format=name)
    bundle = export_and_verify(
        model,
        "cpu-fp32",
        output=tmp_path / "b",
        image_input=pixels,
        recipe=Recipe(preprocess="none"),
    )
    session = runtime.load(bundle.path)
    for size in SIZES:
        drawn = draw_images(1, *size, channels=1 if name == "gray" else 3, seed=5)
        raw = np.stack([encode(image, pixels.color, "NHWC", "uint8") for image in drawn])
        (given,) = session.run(raw).values()
        (wanted,) = keras_answers(model, [decode(raw, pixels, size, 3).astype(np.float32)])
        np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_images_are_not_resized_to_open_axes(export_and_verify: Export, tmp_path: Path) -> None:
    model = pooled()
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none")
    )
    (drawn,) = draw_images(1, 31, 47)
    (wanted,) = keras_answers(model, [drawn[None].astype(np.float32)])
    found = runtime.load(bundle.path).classify(drawn, top_k=1)
    assert (found[0].index, found[0].score) == (
        int(wanted.argmax()),
        pytest.approx(float(wanted.max()), abs=1e-5),
    )


def test_one_open_axis_of_the_image(export_and_verify: Export, tmp_path: Path) -> None:
    bundle = export_and_verify(
        pooled(height=40), "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none")
    )
    assert bundle.manifest["inputs"][0]["shape"] == [1, 40, None, 3]


def sequence() -> tuple[keras.Model, Any]:
    x = keras.Input((None, 3))
    y = layers.GlobalMaxPooling1D()(layers.Conv1D(4, 3, padding="causal")(x))
    return randomise(keras.Model(x, y)), [normal(1, 9, 3), normal(1, 50, 3)]


def volume() -> tuple[keras.Model, Any]:
    x = keras.Input((None, None, None, 2))
    y = layers.Conv3D(4, 3, strides=2, padding="same")(x)
    return randomise(keras.Model(x, y)), [normal(1, 9, 8, 7, 2), normal(1, 4, 5, 6, 2)]


@pytest.mark.parametrize("build", [sequence, volume])
def test_other_open_axes(export_and_verify: Export, build: Any, tmp_path: Path) -> None:
    model, inputs = build()
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none")
    )
    session = runtime.load(bundle.path)
    for given in inputs:
        (found,) = session.run(given).values()
        np.testing.assert_allclose(found, keras_answers(model, [given])[0], atol=1e-5)


def test_resize_to_open_axes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="takes images of any size") as caught:
        export(
            pooled(),
            "cpu-fp32",
            output=tmp_path / "b",
            recipe=Recipe(preprocess="tf"),
            image_input=ImageInput(resize="nearest"),
        )
    assert "`recipe.input_shape`" in (caught.value.hint or "")


def test_a_model_that_refuses_the_sample_size_is_refused(tmp_path: Path) -> None:
    x = keras.Input((None, None, 3))
    sizes = (
        layers.Concatenate(),
        layers.MaxPooling2D(5)(x),
        layers.MaxPooling2D(5, padding="same")(x),
    )
    model = keras.Model(x, sizes[0](list(sizes[1:])))
    with pytest.raises(BadArgument, match="does not compute 192 x 256") as caught:
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none"))
    assert "give its Input all sizes" in (caught.value.hint or "")
    assert not list(tmp_path.iterdir())


def test_int8_is_calibrated_on_numbers_of_any_extent(tmp_path: Path) -> None:
    """The data has 50 steps; the drawn samples of the open axis have another number."""
    x = keras.Input((None, 6), name="steps")
    y = layers.Conv1D(16, 3, activation="relu")(x)
    y = layers.Dense(4, name="sum")(layers.GlobalAveragePooling1D()(y))
    model = randomise(keras.Model(x, y))
    data = normal(40, 50, 6)
    bundle = export(
        model,
        "cpu-int8",
        output=tmp_path / "b",
        calibration=Calibration(data=data, max_drop=0.3, ship_images=2),
    )
    with np.load(bundle.path / "golden.npz") as golden:
        assert golden["steps"].shape == (2, 50, 6)
    session = runtime.load(bundle.path)
    for steps in (50, 17):
        given = normal(1, steps, 6)
        (wanted,) = keras_answers(model, [given])
        (found,) = session.run(given).values()
        assert np.abs(found - wanted).max() < np.ptp(wanted) / 10

"""The inputs on which both sides are compared."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import model_of

from kexport.errors import BadArgument
from kexport.options.image_input import ImageInput
from kexport.parity import samples
from kexport.source.image_inputs import image_specs
from kexport.source.preprocessing import decode, prepare


def identity(*shapes: Any, dtype: str = "float32") -> keras.Model:
    if len(shapes) == 1:
        return model_of(layers.Identity(), *shapes, dtype=dtype)
    inputs = [keras.Input(shape, name=f"in_{i}") for i, shape in enumerate(shapes)]
    return keras.Model(inputs, [x * 1.0 for x in inputs])


@pytest.mark.parametrize(
    ("shapes", "dtype", "expected"),
    [
        ([(8, 9, 3)], "float32", ["image"]),
        ([(8, 9, 1)], "float32", ["image"]),
        ([(None, None, 1)], "float32", ["image"]),
        ([(8, 9, 4)], "float32", []),
        ([(3, 8, 9)], "float32", []),
        ([(8, 9)], "float32", []),
        ([(8, 9, 3)], "int32", []),
        ([(8, 9, 3), (8, 9, 1), (5,)], "float32", ["in_0", "in_1"]),
    ],
)
def test_what_is_an_image(shapes: list[Any], dtype: str, expected: list[str]) -> None:
    assert [spec.name for spec in image_specs(identity(*shapes, dtype=dtype))] == expected


def test_what_is_said_to_be_raw_is_no_image() -> None:
    model = identity((8, 9, 3), (8, 9, 3))
    assert [spec.name for spec in image_specs(model, {"in_0": "raw"})] == ["in_1"]
    assert image_specs(model, "raw") == image_specs(model, {"*": "raw"}) == ()


def test_images_raw_and_prepared() -> None:
    made = samples.make(identity((16, 20, 3)), "caffe", seed=3)
    raw = made.raw["image"]
    assert (raw.dtype, raw.shape[1:]) == (np.uint8, (16, 20, 3))
    assert made.count == len(raw) >= 4
    np.testing.assert_array_equal(made.prepared[0], prepare(raw, "caffe"))


def test_the_same_seed_gives_the_same() -> None:
    model = identity((16, 20, 3))
    first, again, other = (samples.make(model, "tf", seed).raw["image"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_numbers_for_what_is_no_image() -> None:
    made = samples.make(identity((5,), (2, 3)), "none", seed=0)
    assert {name: array.shape[1:] for name, array in made.raw.items()} == {
        "in_0": (5,),
        "in_1": (2, 3),
    }
    assert made.count > made.ordinary == 32
    assert made.images == ()
    for raw, prepared in zip(made.raw.values(), made.prepared, strict=True):
        np.testing.assert_array_equal(raw, prepared)


def test_whole_numbers_for_inputs_of_whole_numbers() -> None:
    made = samples.make(identity((5,), dtype="int32"), "none", seed=0)
    (array,) = made.raw.values()
    assert array.dtype == np.int32
    assert set(np.unique(array)) <= {0, 1}


def test_a_fixed_batch_runs_every_sample_and_is_filled_up() -> None:
    made = samples.make(identity((16, 16, 3)), "tf", seed=0)
    raw = made.raw["image"]
    runs = made.batches(made.count - 1)
    assert [len(run["image"]) for run in runs] == [made.count - 1] * 2
    joined = np.concatenate([run["image"] for run in runs])
    np.testing.assert_array_equal(joined[: made.count], raw)
    np.testing.assert_array_equal(joined[made.count], raw[0])
    (whole,) = made.batches(None)
    np.testing.assert_array_equal(whole["image"], raw)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((None, None, 3), (192, 256)), ((40, None, 3), (40, 256)), ((None, 40, 1), (192, 40))],
)
def test_an_open_size_has_a_stand_in(shape: Any, size: Any) -> None:
    made = samples.make(identity(shape), "tf", seed=0)
    assert made.raw["image"].shape[1:3] == size
    assert made.size(made.images[0]) is None


def test_other_open_axes_have_a_stand_in() -> None:
    (array,) = samples.make(identity((None, 3)), "none", seed=0).raw.values()
    assert array.shape[1:] == (32, 3)


def test_images_that_are_resized_arrive_in_another_size() -> None:
    pixels = ImageInput(format="nv12", resize="bilinear")
    made = samples.make(identity((15, 20, 3)), "caffe", seed=3, pixels=pixels)
    assert made.raw["image"].shape[1:] == (36, 42, 1)  # 24 x 42
    assert made.size(made.images[0]) == (15, 20)
    wanted = prepare(decode(made.raw["image"], pixels, (15, 20), 3), "caffe")
    np.testing.assert_array_equal(made.prepared[0], wanted)


@pytest.mark.parametrize("mode", ["caffe", "torch"])
def test_modes_of_three_channels_before_one(mode: str) -> None:
    with pytest.raises(BadArgument, match="takes grey images"):
        samples.make(identity((16, 16, 1)), mode, seed=0)


def test_preprocessing_of_what_is_no_image_is_refused() -> None:
    with pytest.raises(BadArgument, match="has no image input"):
        samples.make(identity((5,)), "tf", seed=0)

"""The user's own samples, and the ranges that they tell, in the place of what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from support import model_of, normal

from kexport.errors import BadArgument
from kexport.options.image_input import ImageInput
from kexport.options.sampling import Sampling
from kexport.parity import samples
from kexport.parity.samples import Samples
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import draw_images

COUNT = 7


def pair(time: int | None = 5) -> keras.Model:
    image, steps = keras.Input((10, 12, 3), name="photo"), keras.Input((time, 2), name="steps")
    return keras.Model([image, steps], [layers.Conv2D(2, 3)(image), layers.Conv1D(2, 2)(steps)])


def make(model: keras.Model, own: Any, mode: Any = "tf", pixels: Any = None) -> Samples:
    return samples.make(model, mode, 0, pixels, None, Sampling(own))


GIVEN = {"photo": draw_images(COUNT, 10, 12, seed=9), "steps": normal(COUNT, 5, 2) * 50 + 7}


def test_own_samples_are_the_ordinary_ones() -> None:
    made = make(pair(), GIVEN)
    assert made.own
    assert made.ordinary == COUNT
    photos, steps = (made.raw[name][:COUNT] for name in GIVEN)
    order = [GIVEN["steps"].tolist().index(row) for row in steps.tolist()]
    assert sorted(order) == list(range(COUNT))
    np.testing.assert_array_equal(photos, GIVEN["photo"][order])
    np.testing.assert_array_equal(made.prepared[0][:COUNT], prepare(photos, "tf"))
    np.testing.assert_array_equal(made.prepared[1][:COUNT], steps)
    assert made.count > COUNT


def test_hard_numbers_are_as_far_apart_as_the_own_ones() -> None:
    made = make(pair(), GIVEN)
    largest = np.abs(made.raw["steps"][COUNT:]).max()
    assert 100 < largest < 4 * 50 * 5


def test_at_most_32_are_taken(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=draw_images(40, 6, 5, seed=1))
    made = make(model_of(layers.Identity(), (6, 5, 3)), tmp_path / "own.npz")
    assert made.ordinary == 32


def test_a_folder_of_images_becomes_what_the_bundle_takes(tmp_path: Path) -> None:
    drawn = draw_images(COUNT, 10, 12, seed=2)
    for row, image in enumerate(drawn):
        Image.fromarray(image).save(tmp_path / f"{row}.png")
    pixels = ImageInput(format="bgr", layout="nchw")
    made = make(model_of(layers.Identity(), (10, 12, 3)), tmp_path, pixels=pixels)
    raw = made.raw["image"][:COUNT]
    assert sorted(raw[..., ::1].sum(axis=(1, 2, 3))) == sorted(drawn.sum(axis=(1, 2, 3)))
    wanted = prepare(decode(raw, pixels, (10, 12), 3), "tf")
    np.testing.assert_array_equal(made.prepared[0][:COUNT], wanted)


def test_a_resize_in_the_graph_gets_larger_images(tmp_path: Path) -> None:
    pixels = ImageInput(resize="bilinear")
    model = model_of(layers.Identity(), (10, 12, 3))
    drawn = make(model, None, pixels=pixels)
    made = make(model, {"image": draw_images(COUNT, 50, 40, seed=3)}, pixels=pixels)
    assert made.raw["image"].shape[1:] == drawn.raw["image"].shape[1:]
    wanted = prepare(decode(made.raw["image"], pixels, (10, 12), 3), "tf")
    np.testing.assert_array_equal(made.prepared[0], wanted)


def test_open_axes_have_the_extents_of_the_samples() -> None:
    made = make(pair(time=None), {**GIVEN, "steps": normal(COUNT, 9, 2)})
    assert made.raw["steps"].shape[1:] == (9, 2)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"photo": GIVEN["photo"]}, "has no 'steps', but photo"),
        ({**GIVEN, "steps": normal(COUNT, 5, 3)}, r"the model takes float32 \[N, 5, 2\]"),
        ({**GIVEN, "photo": GIVEN["photo"] / 255}, r"takes uint8 \[N, H, W, 3 or 1\]"),
        ({name: array[:3] for name, array in GIVEN.items()}, "has 3 usable samples, too few to co"),
    ],
)
def test_samples_that_do_not_fit_are_refused(own: Any, message: str) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        make(pair(), own)
    assert caught.value.hint


def test_samples_that_keras_does_not_compute_are_refused() -> None:
    x = keras.Input((3,), dtype="int32", name="word")
    model = keras.Model(x, layers.Embedding(5, 2)(x))
    ids = np.arange(12).reshape(4, 3) % 5
    assert make(model, {"word": ids}, "none").ordinary == 4
    y = keras.Input((3,), name="y")
    logarithm = keras.Model(y, keras.ops.log(y))
    with pytest.raises(BadArgument, match="does not compute the samples: Keras gives NaN or inf"):
        make(logarithm, {"y": -np.ones((4, 3)) - normal(4, 3) ** 2}, "none")


def test_samples_that_are_not_there_are_refused_early(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="do not exist"):
        Sampling(tmp_path / "missing.npz").check()
    (tmp_path / "a.txt").touch()
    with pytest.raises(BadArgument, match="are neither a folder nor a"):
        Sampling(tmp_path / "a.txt").check()


def test_numbers_are_drawn_in_the_range_that_is_told() -> None:
    model = pair()
    made = samples.make(model, "tf", 0, sampling=Sampling(ranges={"steps": (-3.0, 40.0)}))
    steps = made.raw["steps"]
    assert (steps.min(), steps.max()) == (-3, 40)
    assert 10 < steps[: made.ordinary].std() < 15
    assert made.ranges == {"steps": (-3.0, 40.0)}


@pytest.mark.parametrize(
    ("name", "message"),
    [("photo", "is given for 'photo', which is no such"), ("step", "is given for 'step'")],
)
def test_ranges_of_no_numbers_are_refused(name: str, message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        samples.make(pair(), "tf", 0, sampling=Sampling(ranges={name: (0.0, 1.0)}))


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))])
def test_a_range_has_two_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(BadArgument, match=r"the range .* of the input 'x' is none"):
        Sampling(ranges={"x": ends})

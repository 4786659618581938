"""Hard pictures, and pictures of other sizes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import model_of

from kexport.options.image_input import ImageInput
from kexport.parity import samples
from kexport.parity.samples.images import hard_images
from kexport.runtime.pixel_formats import SIZE_MULTIPLES
from kexport.source.preprocessing import decode, prepare


def identity(*shape: Any) -> keras.Model:
    return model_of(layers.Identity(), shape)


@pytest.mark.parametrize("name", ["rgb", "bgra", "nv12", "yuyv"])
def test_bytes_reach_both_ends_of_their_range(name: Any) -> None:
    made = samples.make(identity(16, 20, 3), "none", 0, ImageInput(format=name))
    hard = made.raw["image"][made.ordinary :]
    assert len(hard) == 5
    assert (hard.min(), hard.max()) == (0, 255)
    assert [set(np.unique(row).tolist()) for row in hard] == [{0, 255}, {0, 255}, {0}, {255}, {128}]


def test_hard_pictures_are_prepared_as_ordinary_ones() -> None:
    pixels = ImageInput(format="nv12", resize="bilinear")
    made = samples.make(identity(15, 20, 3), "caffe", 0, pixels)
    wanted = prepare(decode(made.raw["image"], pixels, (15, 20), 3), "caffe")
    np.testing.assert_array_equal(made.prepared[0], wanted)


def test_a_chequerboard_changes_from_pixel_to_pixel() -> None:
    made = dict(hard_images((3, 6, 8), ImageInput(layout="nchw")))
    board = made["a chequerboard of black and white pixels"] > 127
    assert board.shape == (3, 6, 8)
    assert (board[:, :, 1:] != board[:, :, :-1]).all()
    assert (board[:, 1:] != board[:, :-1]).all()
    assert (board[0] == board[2]).all()


@pytest.mark.parametrize("size", [(32, 32), (96, 128)])
def test_keras_own_mean_of_hard_pictures_is_right(size: tuple[int, int]) -> None:
    """A float32 sum of many equal numbers rounds in one direction."""
    model = model_of(layers.GlobalAveragePooling2D(), (*size, 3))
    made = samples.make(model, "torch", 0)
    given = made.prepared[0]
    exact = given.astype(np.float64).mean(axis=(1, 2))
    found = np.asarray(model(given))
    assert np.abs(found - exact).max() < 5e-5 * exact.std()


def test_large_pictures_are_not_of_one_value() -> None:
    small = samples.make(identity(32, 32, 3), "none", 0)
    large = samples.make(identity(320, 320, 3), "none", 0)
    assert (small.ordinary, small.count) == (32, 37)
    assert (large.ordinary, large.count) == (5, 7)
    spreads = large.prepared[0][large.ordinary :].std(axis=(1, 2, 3))
    np.testing.assert_allclose(spreads, 127.5, rtol=0.01)


def test_pictures_that_keras_divides_by_zero_are_left_out_and_named() -> None:
    x = keras.Input((16, 16, 3))
    model = keras.Model(x, x / ops.std(x, axis=(1, 2, 3), keepdims=True))
    made = samples.make(model, "none", 0)
    reason = "Keras gives NaN or infinity"
    assert made.left_out == tuple(
        f"image with a {one} image: {reason}" for one in ("black", "white", "grey")
    )
    assert made.count == made.ordinary + 2
    assert np.isfinite(np.asarray(model(made.prepared[0]))).all()


def test_pictures_of_which_keras_makes_rounding_noise_are_left_out_and_named() -> None:
    x = keras.Input((16, 16, 3))
    centred = x - ops.mean(x, axis=(1, 2, 3), keepdims=True)
    deviation = ops.std(x, axis=(1, 2, 3), keepdims=True)
    made = samples.make(keras.Model(x, centred / (deviation + 1e-7)), "none", 0)
    reason = "Keras gives rounding noise"
    assert set(made.left_out) >= {
        f"image with a {one} image: {reason}" for one in ("white", "grey")
    }


def test_open_sizes_are_probed_at_others() -> None:
    made = samples.make(identity(None, None, 3), "tf", 0)
    shapes = {probe.name: probe.prepared[0].shape for probe in made.probes}
    assert shapes == {
        "height 95, width 131": (1, 95, 131, 3),
        "height 162, width 66": (1, 162, 66, 3),
    }
    for probe in made.probes:
        np.testing.assert_array_equal(probe.prepared[0], prepare(probe.raw["image"], "tf"))


def test_only_open_sides_are_probed() -> None:
    made = samples.make(identity(40, None, 3), "tf", 0)
    assert [probe.prepared[0].shape[1:3] for probe in made.probes] == [(40, 131), (40, 66)]


def test_a_model_of_even_sizes_is_probed_at_even_sizes() -> None:
    x = keras.Input((None, None, 3))
    down = layers.MaxPooling2D(2)(layers.MaxPooling2D(2)(x))
    y = layers.Concatenate()([x, layers.UpSampling2D(4)(down)])
    made = samples.make(keras.Model(x, y), "tf", 0)
    assert [probe.prepared[0].shape[1:3] for probe in made.probes] == [(96, 160), (160, 96)]


@pytest.mark.parametrize("name", ["rgb", "nv12", "yuyv"])
def test_a_resize_is_probed_from_other_sizes(name: Any) -> None:
    pixels = ImageInput(format=name, resize="bilinear")
    made = samples.make(identity(33, 40, 3), "none", 0, pixels)
    assert len(made.probes) == 2
    rows, columns = SIZE_MULTIPLES.get(name.upper(), (1, 1))
    for probe in made.probes:
        assert probe.prepared[0].shape == (1, 33, 40, 3)
        wanted = decode(probe.raw["image"], pixels, (33, 40), 3)
        np.testing.assert_array_equal(probe.prepared[0], prepare(wanted, "none"))
        said = [int(word.split()[-1]) for word in probe.name.split(",")]
        assert (said[0] % rows, said[1] % columns) == (0, 0)


def test_a_free_batch_is_probed_at_one_and_three() -> None:
    made = samples.make(identity(16, 20, 3), "tf", 0, batch=None)
    assert {probe.name: len(probe.raw["image"]) for probe in made.probes} == {
        "batch 1": 1,
        "batch 3": 3,
    }
    assert not samples.make(identity(16, 20, 3), "tf", 0, batch=2).probes


def test_images_of_open_sizes_differ_where_keras_allows_it() -> None:
    a, b = (keras.Input((None, None, 3), name=name) for name in "ab")
    pooled = [layers.GlobalAveragePooling2D()(x) for x in (a, b)]
    for joined, wanted in (
        (layers.Concatenate()(pooled), [((95, 131), (97, 130)), ((162, 66), (163, 84))]),
        (layers.Add()([a, b]), [((95, 131), (95, 131)), ((162, 66), (162, 66))]),
    ):
        made = samples.make(keras.Model([a, b], joined), "tf", 0)
        sizes = [tuple(x.shape[1:3] for x in p.prepared) for p in made.probes if "height" in p.name]
        assert sizes == wanted

"""Where an image lies in the model's frame, against Pillow's and Keras' own resizing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from kexport.runtime.placement import placed

SIZES = [(7, 5), (8, 6), (9, 7), (80, 61), (101, 997), (1, 500), (3, 2)]


@pytest.mark.parametrize("own", SIZES)
@pytest.mark.parametrize("cells", [(8, 6), (3, 5), (17, 23)])
def test_a_stretched_mask_equals_pillows_nearest(
    own: tuple[int, int], cells: tuple[int, int]
) -> None:
    mask = np.random.default_rng(0).integers(0, 200, cells, np.uint8)
    place = placed(*own, 64, 48, "stretch")
    found = mask[place.rows.cells(cells[0])][:, place.columns.cells(cells[1])]
    expected = np.asarray(Image.fromarray(mask).resize(own[::-1], Image.Resampling.NEAREST))
    rows, columns = (clear(own[axis], cells[axis]) for axis in (0, 1))
    np.testing.assert_array_equal(found[rows][:, columns], expected[rows][:, columns])


def clear(own: int, cells: int) -> np.ndarray:
    """Return the pixels whose centre is on no edge of a cell, where Pillow's sum may round away."""
    centres = (2 * np.arange(own) + 1) * cells
    return np.flatnonzero(centres % (2 * own) != 0)


@pytest.mark.parametrize("own", [(80, 61), (101, 97), (40, 90)])
def test_a_crop_shows_what_load_img_crops(own: tuple[int, int]) -> None:
    """`keras.utils.load_img(keep_aspect_ratio=True)`: each pixel of it comes from the window."""
    from keras.utils import load_img

    numbered = np.zeros((*own, 3), np.uint8)
    numbered[..., 0], numbered[..., 1] = np.indices(own)
    file = io.BytesIO()
    Image.fromarray(numbered).save(file, "png")
    seen = np.asarray(load_img(file, target_size=(32, 24), keep_aspect_ratio=True))
    place = placed(*own, 32, 24, "crop")
    for channel, axis, count in ((0, place.rows, 32), (1, place.columns, 24)):
        values = np.unique(seen[..., channel])
        assert len(values) == count
        np.testing.assert_array_equal(np.sort(axis.cells(count)[values]), np.arange(count))


def test_borders_are_no_part_of_the_image() -> None:
    place = placed(50, 100, 64, 64, "pad")
    assert (place.rows.to_start, place.rows.to_length) == (16, 32)
    assert place.rows.cells(64).min() == 16
    assert place.rows.cells(64).max() == 47
    assert place.columns.cells(64).tolist() == [(2 * i + 1) * 64 // 200 for i in range(100)]


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("own", [(50, 100), (100, 50), (64, 64), (333, 17)])
def test_places_of_the_frame_lead_back_to_the_image(own: tuple[int, int], fit: str) -> None:
    """The edges of the part that is shown are the edges of the frame's part."""
    for axis in vars(placed(*own, 64, 48, fit)).values():
        assert axis.own_place(axis.to_start) == axis.start
        assert axis.own_place(axis.to_start + axis.to_length) == axis.start + axis.length
        assert axis.own_place(-1000) == 0
        assert axis.own_place(1e9) == axis.own

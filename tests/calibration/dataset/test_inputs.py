"""Samples of several inputs, or of numbers: read from every source, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import normal

from kexport.calibration.dataset.images import ImageForm
from kexport.calibration.dataset.inputs import (
    InputSamples,
    TensorForm,
    load_samples,
    split_samples,
)
from kexport.errors import BadArgument
from kexport.runtime.resize import Resize
from kexport.source.synthetic_images import draw_images

FORMS = {
    "left": ImageForm((8, 6), Resize("pil-bilinear")),
    "mask": ImageForm((5, 5), Resize("pil-nearest"), channels=1),
    "numbers": TensorForm((3,), "float32"),
}
COUNT = 20
LEFT, MASK = draw_images(COUNT, 8, 6, seed=1), draw_images(COUNT, 5, 5, channels=1, seed=2)
NUMBERS = normal(COUNT, 3)


def given(**changed: Any) -> dict[str, Any]:
    return {"left": LEFT, "mask": MASK, "numbers": NUMBERS, **changed}


def load(source: Any, tmp_path: Path, forms: Any = None, **options: Any) -> InputSamples:
    chosen = {"limit": 100, "seed": None, "least": 16, **options}
    return load_samples(source, forms or FORMS, **chosen)


def as_folder(folder: Path) -> Path:
    for name in FORMS:
        (folder / name).mkdir(parents=True)
    for row in range(COUNT):
        Image.fromarray(LEFT[row]).save(folder / "left" / f"{row:02}.png")
        Image.fromarray(MASK[row, ..., 0]).save(folder / "mask" / f"{row:02}.bmp")
        np.save(folder / "numbers" / f"{row:02}.npy", NUMBERS[row])
    return folder


@pytest.mark.parametrize("kind", ["folder", "npz", "mapping"])
def test_every_source_gives_the_same_samples(kind: str, tmp_path: Path) -> None:
    source: Any = given()
    if kind == "folder":
        source = as_folder(tmp_path / "samples")
    elif kind == "npz":
        np.savez(tmp_path / "samples.npz", **source)
        source = tmp_path / "samples.npz"
    found = load(source, tmp_path)
    assert list(found.arrays) == list(FORMS)
    for name, array in given().items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert len(found) == COUNT


def test_images_of_another_size_and_colour_become_those_of_the_model(tmp_path: Path) -> None:
    large = draw_images(COUNT, 16, 9, seed=3)
    found = load(given(left=large, mask=large), tmp_path)
    for row in range(COUNT):
        image = Image.fromarray(large[row])
        resized = np.asarray(image.resize((6, 8), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(found.arrays["left"][row], resized)
        grey = image.convert("L").resize((5, 5), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(found.arrays["mask"][row, ..., 0], np.asarray(grey))


def test_samples_stay_together_in_a_random_order(tmp_path: Path) -> None:
    found = load(given(), tmp_path, seed=4, limit=17)
    rows = [int(name.split()[1]) for name in found.names]
    assert len(set(rows)) == 17
    assert rows != sorted(rows)
    for name, array in given().items():
        np.testing.assert_array_equal(found.arrays[name], array[rows])


@pytest.mark.parametrize("ending", ["npy", "npz", "folder", "array"])
def test_numbers_alone(ending: str, tmp_path: Path) -> None:
    source: Any = tmp_path / f"numbers.{ending}"
    if ending == "npy":
        np.save(source, NUMBERS)
    elif ending == "npz":
        np.savez(source, anything=NUMBERS)
    elif ending == "array":
        source = NUMBERS
    else:
        source.mkdir()
        for row in range(COUNT):
            np.save(source / f"{row:02}.npy", NUMBERS[row : row + 1])
    found = load(source, tmp_path, {"x": TensorForm((3,), "float32")})
    np.testing.assert_array_equal(found.arrays["x"], NUMBERS)


def test_float64_is_rounded_to_the_dtype_of_the_input(tmp_path: Path) -> None:
    found = load(given(numbers=NUMBERS.astype(np.float64)), tmp_path)
    assert found.arrays["numbers"].dtype == np.float32


def test_equal_samples_stay_on_one_side(tmp_path: Path) -> None:
    twice = {name: np.concatenate([array, array]) for name, array in given().items()}
    one, other = split_samples(load(twice, tmp_path), 0, largest=100)
    assert len(one) + len(other) == 2 * COUNT

    def rows(samples: InputSamples) -> set[bytes]:
        return {row.tobytes() for row in samples.arrays["numbers"]}

    assert rows(one).isdisjoint(rows(other))
    place = [row.tobytes() for row in NUMBERS].index(one.arrays["numbers"][0].tobytes())
    np.testing.assert_array_equal(one.arrays["left"][0], LEFT[place])


def test_a_damaged_image_takes_its_sample_with_it(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "samples")
    (folder / "mask" / "03.bmp").write_bytes(b"no image")
    found = load(folder, tmp_path)
    assert found.skipped == ("03",)
    np.testing.assert_array_equal(found.arrays["numbers"], np.delete(NUMBERS, 3, axis=0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"right": LEFT}, "the samples given has 'right', which is no input"),
        ({"numbers": NUMBERS[:-1]}, "different numbers of samples: left 20, mask 20, numbers 19"),
        (
            {"numbers": NUMBERS[:, :2]},
            r"is float32 \[20, 2\], and the model takes float32 \[N, 3\]",
        ),
        ({"numbers": NUMBERS.astype(complex)}, "is complex128"),
        ({"numbers": np.float32(3)}, "has no list of samples for an input"),
        ({"left": LEFT / 255}, r"takes uint8 \[N, H, W, 3 or 1\]: images of 0..255, before"),
        ({"left": LEFT[..., 0]}, r"is uint8 \[20, 8, 6\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changed: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        load(given(**changed), tmp_path)
    assert caught.value.hint


def test_a_source_without_an_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="has no 'mask', but left, numbers"):
        load({"left": LEFT, "numbers": NUMBERS}, tmp_path)
    (tmp_path / "samples" / "left").mkdir(parents=True)
    with pytest.raises(BadArgument, match="has no subfolder 'mask'"):
        load(tmp_path / "samples", tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.npz", "missing.npz does not exist"),
        ("missing", "missing is no source of samples for the inputs left, mask, numbers"),
        (NUMBERS, "the array is one array, and the model's inputs are left, mask, numbers"),
        ([LEFT], "a list is no source of samples"),
    ],
)
def test_what_is_no_source_is_refused(source: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        load(source, tmp_path)
    assert caught.value.hint


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK no archive")
    with pytest.raises(BadArgument, match=r"a\.npz cannot be read"):
        load(tmp_path / "a.npz", tmp_path)


def test_few_or_equal_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="has 3 usable images, too few to calibrate on"):
        load({name: array[:3] for name, array in given().items()}, tmp_path)
    same = {name: array[:1].repeat(16, axis=0) for name, array in given().items()}
    with pytest.raises(BadArgument, match="all 16 samples of the samples given are equal"):
        load(same, tmp_path)

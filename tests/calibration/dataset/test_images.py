"""Calibration images: decoded as Keras does, sampled by seed, kept in a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from kexport.calibration.dataset.images import (
    ImageForm,
    Images,
    load_images,
    load_labelled_images,
    split_images,
)
from kexport.errors import BadArgument, OutputFailed
from kexport.runtime.resize import Resize

SIZE = (6, 5)
FORM = ImageForm(SIZE, Resize("pil-nearest"))


def drawn(count: int, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *size, channels), np.uint8)


def folder(path: Path, count: int = 20) -> Path:
    for index, image in enumerate(drawn(count, (11, 9))):
        place = path / "ab"[index % 2] / f"{index:02}.{'PNG' if index % 3 else 'jpg'}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    (path / ".hidden.png").write_bytes(b"no image")
    (path / "notes.txt").write_text("no image")
    return path


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Images]:
    (tmp_path / "scratch").mkdir()

    def take(source: Any, **more: Any) -> Images:
        given = {"limit": 100, "seed": 0, "scratch": tmp_path / "scratch", **more}
        names = ("size", "resize", "channels", "dtype")
        form = {name: given.pop(name) for name in names if name in given}
        return load_images(source, replace(FORM, **form), **given)

    return take


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_decoded_as_keras_does(take: Any, tmp_path: Path, channels: int) -> None:
    found = take(str(folder(tmp_path / "p")), channels=channels)
    assert isinstance(found.images, np.memmap)
    assert (found.images.dtype, found.images.shape) == (np.uint8, (20, *SIZE, channels))
    assert (len(set(found.names)), found.skipped, found.labels) == (20, (), None)
    mode = "rgb" if channels == 3 else "grayscale"
    for name, image in zip(found.names, found.images, strict=True):
        loaded = keras.utils.load_img(tmp_path / "p" / name, color_mode=mode, target_size=SIZE)
        np.testing.assert_array_equal(image, keras.utils.img_to_array(loaded))


def test_the_sample_depends_on_the_seed_alone(take: Any, tmp_path: Path) -> None:
    path = folder(tmp_path / "p", 30)
    first, again, other = (take(path, limit=16, seed=seed) for seed in (1, 1, 2))
    assert first.names == again.names
    assert set(first.names) != set(other.names)
    assert len(first.names) == 16


def test_arrays_in_files_and_in_memory_give_the_same_images(take: Any, tmp_path: Path) -> None:
    array = drawn(40)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    np.savez_compressed(tmp_path / "b.npz", images=array, labels=np.arange(40))
    found = [
        take(given, limit=17)
        for given in (array, tmp_path / "a.npy", tmp_path / "a.npz", tmp_path / "b.npz")
    ]
    for images in found:
        rows = [int(name.removeprefix("image ")) for name in images.names]
        np.testing.assert_array_equal(images.images, array[rows])
        assert images.names == found[0].names
        assert len(set(rows)) == 17


def test_iterables_of_arrays_images_and_paths_are_loaded(take: Any, tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    arrays = list(drawn(30))
    np.testing.assert_array_equal(take(iter(arrays), limit=16).images, arrays[:16])
    assert len(take(arrays, limit=16).names) == 16
    images = (Image.fromarray(array) for array in arrays)
    np.testing.assert_array_equal(take(images).images, arrays)
    paths = sorted(path.rglob("*.PNG")) + sorted(path.rglob("*.jpg"))
    assert set(take(paths).names) == {str(entry) for entry in paths}


def test_few_damaged_images_are_skipped_and_named(take: Any, tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    for name in ("a/x.png", "y.jpg"):
        (path / name).write_bytes(b"no image")
    found = take(path)
    assert sorted(found.skipped) == ["a/x.png", "y.jpg"]
    assert len(found.names) == 20


def refused(take: Any, source: Any, message: str, scratch: Path, **more: Any) -> bool:
    with pytest.raises(BadArgument, match=message) as caught:
        take(source, **more)
    assert caught.value.hint
    return not list(scratch.iterdir())


def test_unusable_folders_are_refused(take: Any, tmp_path: Path) -> None:
    scratch, path = tmp_path / "scratch", folder(tmp_path / "p")
    assert refused(take, tmp_path / "none", "does not exist", scratch)
    assert refused(take, path / "notes.txt", "neither a folder nor", scratch)
    (tmp_path / "empty").mkdir()
    assert refused(take, tmp_path / "empty", "is empty", scratch)
    (tmp_path / "empty" / "a.txt").touch()
    assert refused(take, tmp_path / "empty", "holds no images", scratch)
    assert refused(take, folder(tmp_path / "few", 15), "15 usable images, too few", scratch)
    assert refused(take, path, "15 images are too few", scratch, limit=15)
    for index in range(3):
        (path / f"{index}.png").write_bytes(b"no image")
    assert refused(take, path, r"too many images .* 3 so far: .*0\.png", scratch)


def test_unusable_arrays_are_refused(take: Any, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    assert refused(take, drawn(20).astype(np.float32), "is float32", scratch)
    assert refused(take, drawn(20, (7, 5)), r"is uint8 \[20, 7, 5, 3\], and the model", scratch)
    assert refused(take, [np.zeros((2, 2, 9), np.uint8)] * 20, "an image must be uint8", scratch)
    assert refused(take, np.zeros((20, *SIZE, 3), np.uint8), "all 20 images .* are equal", scratch)
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        assert refused(take, tmp_path / name, "cannot be read", scratch)
    np.savez(tmp_path / "two.npz", x=drawn(20), y=drawn(20))
    assert refused(take, tmp_path / "two.npz", "holds no array named images, but x, y", scratch)
    np.savez(tmp_path / "f.npz", np.asfortranarray(drawn(20)))
    assert refused(take, tmp_path / "f.npz", "Fortran order", scratch)


def test_a_missing_scratch_folder_is_an_error(take: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="cannot be written: No such file"):
        take(drawn(20), scratch=tmp_path / "none")


def test_classes_equal_those_of_keras(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    given = {"limit": 100, "seed": 0, "scratch": tmp_path}
    found = load_labelled_images(path, 2, FORM, **given)
    keras_ones = keras.utils.image_dataset_from_directory(path, shuffle=False, verbose=False)
    wanted = {
        os.path.relpath(file, path): "ab".index(Path(file).parent.name)
        for file in keras_ones.file_paths
    }
    assert keras_ones.class_names == ["a", "b"]
    assert dict(zip(found.names, found.labels or (), strict=True)) == wanted
    named = load_labelled_images(path, ["b", "c", "a"], FORM, **given)
    assert set(zip((n[0] for n in named.names), named.labels or (), strict=True)) == {
        ("a", 2),
        ("b", 0),
    }


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (3, "2 subfolders, and the model has 3 classes"),
        (["x", "y", "z"], "2 subfolders, and the model has 3 classes"),
        (["a", "bb"], "'b' of .* is none of the model's classes"),
        (["a", "b", "a"], "2 classes named 'a'"),
    ],
)
def test_subfolders_that_do_not_match_the_classes_are_refused(
    tmp_path: Path, classes: Any, message: str
) -> None:
    with pytest.raises(BadArgument, match=message):
        load_labelled_images(
            folder(tmp_path / "p"), classes, FORM, limit=99, seed=0, scratch=tmp_path
        )


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_are_resized_as_keras_trains_on_them(take: Any, tmp_path: Path, dtype: str) -> None:
    for index, image in enumerate(drawn(20, (11, 9))):
        (tmp_path / "p" / "class").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "p" / "class" / f"{index:02}.png")
    found = take(tmp_path / "p", resize=Resize("tf-bilinear", "crop"), dtype=dtype)
    wanted = keras.utils.image_dataset_from_directory(
        tmp_path / "p",
        labels=None,
        image_size=SIZE,
        batch_size=20,
        shuffle=False,
        crop_to_aspect_ratio=True,
        verbose=False,
    )
    (batch,) = wanted
    exact = np.asarray(batch)[np.argsort(np.argsort(found.names))]
    assert found.images.dtype == dtype
    np.testing.assert_array_equal(found.images, np.rint(exact) if dtype == "uint8" else exact)


def test_the_two_sides_share_no_image(take: Any) -> None:
    array = drawn(20)
    array[[3, 11, 19]] = array[0]
    whole = take(array)
    left, right = split_images(whole, 5, largest=100)
    assert isinstance(left.images, np.memmap)
    assert len(left.names) == len(right.names) == 10
    assert sorted(left.names + right.names) == sorted(whole.names)
    held = [{image.tobytes() for image in half.images} for half in (left, right)]
    assert not held[0] & held[1]
    assert split_images(whole, 5, largest=100)[0].names == left.names


@pytest.mark.parametrize(
    ("count", "largest", "wanted"),
    [(16, 100, 8), (32, 100, 16), (100, 100, 40), (200, 100, 80), (600, 100, 100), (100, 20, 20)],
)
def test_more_images_judge_than_calibrate(take: Any, count: int, largest: int, wanted: int) -> None:
    calibration, held_out = split_images(take(drawn(count), limit=count), 0, largest=largest)
    assert (len(calibration.names), len(held_out.names)) == (wanted, count - wanted)


def test_one_large_group_of_equal_images_leaves_some_to_calibrate(take: Any) -> None:
    array = drawn(20)
    array[:15] = array[0]
    calibration, held_out = split_images(take(array), 0, largest=100)
    assert (len(calibration.names), len(held_out.names)) == (5, 15)

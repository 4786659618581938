"""Galleries: the nearest vectors, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kexport.runtime import BadInput, Embedding, Gallery, OutputImage, Settings, load, read_gallery
from kexport.runtime.cli import main as run_py
from kexport.runtime.output_image import image_of

GREEN = np.full((8, 6, 3), (20, 200, 40), np.uint8)


@pytest.fixture
def bundle(build: Any) -> Path:
    """Build a bundle whose vector is the mean colour."""
    task = {"name": "embed", "output": "features"}
    made: Path = build(outputs=("features",), labels=None, edit=lambda data: data.update(task=task))
    return made


@pytest.fixture
def known(tmp_path: Path) -> Path:
    folder = tmp_path / "known"
    folder.mkdir()
    for name, colour in {"grass": (10, 90, 20), "rose": (200, 30, 20), "coal": (0, 0, 0)}.items():
        Image.new("RGB", (6, 8), colour).save(folder / f"{name}.png")
    return folder


def test_the_angle_counts_and_not_the_length(bundle: Path, known: Path, capsys: Any) -> None:
    Image.fromarray(GREEN).save(known.parent / "a.png")
    words = [str(known.parent / "a.png"), "--gallery", str(known)]
    assert run_py(bundle, words) == 0
    colours = np.array([(10, 90, 20), (200, 30, 20)], float)
    vector = np.array([20, 200, 40], float)
    near, far = colours @ vector / np.linalg.norm(colours, axis=1) / np.linalg.norm(vector)
    shown = f"  grass.png  {near:.4f}\n  rose.png   {far:.4f}\n  coal.png   0.0000\n"
    assert capsys.readouterr().out == f"{known.parent}/a.png\n{shown}"


def test_a_gallery_is_written_and_read(bundle: Path, tmp_path: Path) -> None:
    gallery = Gallery(("é", "b"), np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    gallery.save(tmp_path / "gallery.npz")
    read = read_gallery(tmp_path / "gallery.npz")
    assert read.names == gallery.names
    np.testing.assert_array_equal(read.vectors, gallery.vectors)
    found = load(bundle).predict(GREEN, Settings(top_k=1, gallery=read))
    assert isinstance(found, Embedding)
    assert [one.name for one in found.neighbours] == ["b"]


def test_without_a_gallery_the_vector_is_the_answer(bundle: Path) -> None:
    found = load(bundle).predict(GREEN)
    assert isinstance(found, Embedding)
    assert found.vector.tolist() == pytest.approx([20, 200, 40])
    assert list(found.entry()) == ["embedding"]


WRONG: Any = [
    ({"names": np.array(["a"]), "vectors": np.ones((2, 3))}, "has no vector for each name"),
    ({"names": np.array(["a"])}, "cannot be read"),
    ({"names": np.array(["a"]), "vectors": np.ones((1, 4))}, "vectors of 4 numbers"),
    ({"names": np.array(["a"], object), "vectors": np.ones((1, 3))}, "cannot be read"),
]


@pytest.mark.parametrize(("arrays", "said"), WRONG)
def test_a_gallery_that_does_not_fit(
    bundle: Path, tmp_path: Path, capsys: Any, arrays: Any, said: str
) -> None:
    np.savez(tmp_path / "g.npz", **arrays)
    Image.fromarray(GREEN).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "--gallery", str(tmp_path / "g.npz")]
    assert run_py(bundle, words) == 16
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"array"])
def test_a_damaged_gallery(bundle: Path, tmp_path: Path, capsys: Any, content: bytes) -> None:
    Image.fromarray(GREEN).save(tmp_path / "a.png")
    (tmp_path / "g.npz").write_bytes(content)
    assert run_py(bundle, [str(tmp_path / "a.png"), "--gallery", str(tmp_path / "g.npz")]) == 16
    np.save(tmp_path / "g.npy", np.ones(3))
    (tmp_path / "g.npy").replace(tmp_path / "g.npz")
    assert run_py(bundle, [str(tmp_path / "a.png"), "--gallery", str(tmp_path / "g.npz")]) == 16
    assert capsys.readouterr().err.count("g.npz cannot be read") == 2


def test_a_gallery_for_another_task(build: Any, known: Path, capsys: Any) -> None:
    assert run_py(build(), ["a.png", "--gallery", str(known)]) == 16
    said = "a gallery is for the task embed, and this bundle's is classify"
    assert f"error: {said}\n" in capsys.readouterr().err


def test_a_damaged_image_in_a_gallery(bundle: Path, known: Path, capsys: Any) -> None:
    (known / "b.png").write_bytes(b"no image")
    assert run_py(bundle, ["a.png", "--gallery", str(known)]) == 15
    assert "b.png" in capsys.readouterr().err


def test_cosines_of_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(BadInput, match="vectors of 2 numbers, and the model gives 3"):
        Gallery(("a",), np.ones((1, 2))).nearest(np.ones(3), 1)


def test_values_become_bytes() -> None:
    values = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 9.0]).reshape(1, 6, 1)
    found = image_of(values, -1.0, 1.0)
    assert isinstance(found, OutputImage)
    assert found.pixels.ravel().tolist() == [0, 0, 128, 191, 255, 255]

"""kexport-predict --gallery finds the images that run.py finds, and refuses files that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_builds import Build
from PIL import Image

from kexport.runtime import Gallery, load
from kexport.runtime.cli import main

NAMES = ("cat.jpg", "Übergröße €", "猫 🐈", "d", "e", "f", "g")


@pytest.fixture
def bundle(build: Callable[..., Path]) -> Path:
    task = {"name": "embed", "output": "features"}
    return build(outputs=("features",), labels=None, edit=lambda data: data.update(task=task))


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(3)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return [str(path) for path in paths]


def gallery_of(bundle: Path, image: str, path: Path) -> Path:
    """Write vectors around that of an image, one of them of zeros, and one twice."""
    vector = load(bundle).predict(image).vector  # type: ignore[union-attr]
    noise = np.random.default_rng(1).normal(size=(len(NAMES), vector.size))
    vectors = vector + 0.5 * np.abs(vector).mean() * noise
    vectors[3] = 0
    vectors[5] = vectors[4]
    Gallery(NAMES, vectors).save(path)
    return path


@pytest.mark.parametrize("words", [[], ["-k", "2"], ["-k", "100"]])
def test_the_neighbours_are_those_of_run_py(
    sanitized: Build, bundle: Path, images: list[str], tmp_path: Path, capsys: Any, words: list[str]
) -> None:
    path = gallery_of(bundle, images[0], tmp_path / "gallery.npz")
    given = [*images, "--gallery", str(path), *words]
    assert main(bundle, given) == 0
    done = sanitized.run("kexport-predict", bundle, *given)
    assert (done.status, done.err) == (0, "")
    assert done.out == capsys.readouterr().out
    assert main(bundle, [*given, "--jsonl"]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    done = sanitized.run("kexport-predict", bundle, *given, "--jsonl")
    for own, other in zip(map(json.loads, done.out.splitlines()), expected, strict=True):
        near, wanted = own.pop("neighbours"), other.pop("neighbours")
        assert own == other
        assert [one["name"] for one in near] == [one["name"] for one in wanted]
        assert [one["similarity"] for one in near] == pytest.approx(
            [one["similarity"] for one in wanted], abs=1e-12
        )


def test_arrays_of_other_types_are_read(
    sanitized: Build, bundle: Path, images: list[str], tmp_path: Path, capsys: Any
) -> None:
    """Vectors in float32, compressed, as somebody may write them."""
    vector = load(bundle).predict(images[0]).vector  # type: ignore[union-attr]
    path = tmp_path / "g.npz"
    vectors = np.stack([-vector, vector]).astype(np.float32)
    np.savez_compressed(path, names=np.array(["a", "b"]), vectors=vectors)
    words = [images[0], "--gallery", str(path)]
    assert main(bundle, words) == 0
    done = sanitized.run("kexport-predict", bundle, *words)
    assert done.out == capsys.readouterr().out
    assert done.out.split()[1:3] == ["b", "1.0000"]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"vectors": np.ones((2, 3))}, "no vector for each name"),
        ({"names": np.array(["a", "b"])}, "no vector for each name"),
        ({"names": np.array(["a"]), "vectors": np.ones((2, 3))}, "no vector for each name"),
        ({"names": np.array(["a"]), "vectors": np.ones(3)}, "no vector for each name"),
        ({"names": np.array([["a"]]), "vectors": np.ones((1, 3))}, "more than one axis"),
        ({"names": np.arange(2), "vectors": np.ones((2, 3))}, "something other than texts"),
        ({"names": np.array(["a"]), "vectors": np.array([["b"]])}, "other than plain numbers"),
        ({"names": np.array(["a"]), "vectors": np.ones((1, 99))}, "the model gives"),
    ],
)
def test_files_that_are_no_gallery_are_refused(
    sanitized: Build,
    bundle: Path,
    images: list[str],
    tmp_path: Path,
    arrays: dict[str, np.ndarray],
    said: str,
) -> None:
    np.savez(tmp_path / "g.npz", **arrays)
    done = sanitized.run("kexport-predict", bundle, *images, "--gallery", tmp_path / "g.npz")
    assert (done.status, done.out) == (16, "")
    assert said in done.err


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_damaged_and_missing_files_are_refused(
    sanitized: Build, bundle: Path, images: list[str], tmp_path: Path, content: bytes | None
) -> None:
    path = gallery_of(bundle, images[0], tmp_path / "gallery.npz")
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content or whole[: len(whole) // 2])
    done = sanitized.run("kexport-predict", bundle, *images, "--gallery", path)
    assert (done.status, done.out) == (16, "")
    assert f"error: the gallery {path} cannot be read" in done.err


def test_a_gallery_is_for_embeddings_alone(
    sanitized: Build, build: Callable[..., Path], bundle: Path, images: list[str], tmp_path: Path
) -> None:
    path = gallery_of(bundle, images[0], tmp_path / "gallery.npz")
    other = build("other", outputs=("probabilities",))
    done = sanitized.run("kexport-predict", other, *images, "--gallery", path)
    assert done.status == 16
    assert "gallery is for the task embed, and this bundle's is classify" in done.err

"""The examples' pages show the commands that the tests run, and the data is what they say."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from documents import blocks
from example_bundles import module
from PIL import Image

TASKS = sorted(module("compare").EXAMPLES)


@pytest.mark.parametrize("task", TASKS)
def test_a_page_shows_the_export(root: Path, task: str) -> None:
    compare = module("compare")
    text = (root / "examples" / task / "README.md").read_text("utf-8")
    export, run = (shlex.split(step) for step, _ in blocks(text)[0].steps)
    model = compare.model_of(task).relative_to(root).as_posix()
    words = ["kexport", model, "--target", "cpu-fp32", "-o", export[5]]
    assert export == words + shlex.split(compare.EXAMPLES[task].export)
    assert run[:3] == ["kexport", "run", export[5]]


@pytest.mark.parametrize("task", TASKS)
def test_models_are_small(root: Path, task: str) -> None:
    assert module("compare").model_of(task).stat().st_size < 200_000


@pytest.mark.slow
def test_models_are_those_of_their_training() -> None:
    """Each train.py builds the layers whose weights are in the model's file."""
    import keras

    compare = module("compare")
    for task in TASKS:
        built = compare.train_of(task).get_model()
        built.build((None, *built.input_shape[1:]))
        saved = keras.models.load_model(compare.model_of(task), compile=False)
        assert [w.shape for w in built.weights] == [w.shape for w in saved.weights], task


@pytest.mark.parametrize("task", TASKS)
def test_data_is_drawn_again_in_its_place(task: str, tmp_path: Path) -> None:
    data, folder = module("fruit_data"), tmp_path / "data"
    first, second = [], []
    for seen in (first, second):
        data.write(task, folder, 2, 1)
        seen += sorted(
            (file.relative_to(folder), file.read_bytes())
            for file in folder.rglob("*")
            if file.is_file()
        )
    assert first
    assert first == second


@pytest.mark.parametrize("task", TASKS)
def test_images_are_jpeg_files_of_many_sizes(task: str, tmp_path: Path) -> None:
    compare, data = module("compare"), module("fruit_data")
    data.write(task, tmp_path / "data", 40, 1)
    files = sorted((tmp_path / "data" / compare.EXAMPLES[task].images).rglob("*.jpg"))
    sizes = np.array([Image.open(file).size for file in files])
    assert len(np.unique(sizes, axis=0)) >= 35
    assert (sizes < 48).all(axis=1).any(), "none is smaller than the model's input"
    assert (sizes > 96).all(axis=1).any()
    assert (sizes[:, 0] != sizes[:, 1]).sum() >= 30

"""`preprocess="auto"` for tasks other than classify: the task's measure chooses the mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from labelled_data import in_class_folders, with_csv, with_partners

from kexport import Task
from kexport.api import Bundle, export
from kexport.cli.tables.images import preprocessing
from kexport.errors import BadArgument
from kexport.measures.names import title_of
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.passes.image_input import recipe_of

SIZE, COUNT = 12, 40
EDGE = 128
"""What is bright: more red than this."""


def images() -> np.ndarray:
    """Draw images of one colour and some noise, left and right of another brightness."""
    rng = np.random.default_rng(0)
    colors = rng.integers(20, 236, (COUNT, 1, 2, 3))
    whole = np.repeat(np.repeat(colors, SIZE, axis=1), SIZE // 2, axis=2)
    return np.clip(whole + rng.integers(-10, 11, whole.shape), 0, 255).astype(np.uint8)


def red(drawn: np.ndarray) -> np.ndarray:
    return drawn[..., 0].mean(axis=(1, 2))


def trained(mode: Any, task: str) -> keras.Model:
    """Build a model of images in a mode, whose first layer takes the preprocessing back."""
    recipe = recipe_of(mode)
    order = recipe.order or (0, 1, 2)
    scale, shift = (np.broadcast_to(each, 3) for each in (recipe.scale, recipe.shift))
    kernel, bias = np.zeros((1, 1, 3, 3), np.float32), np.zeros(3, np.float32)
    for place, channel in enumerate(order):
        kernel[0, 0, place, channel] = 1 / scale[place]
    bias[list(order)] = -shift / scale
    x = keras.Input((SIZE, SIZE, 3))
    back = layers.Conv2D(3, 1, name="back")
    pixels = back(x)
    back.set_weights([kernel, bias])
    if task == "segment":
        head = layers.Conv2D(1, 1, activation="sigmoid", name="bright")
        y = head(pixels)
    else:
        units, activation = (1, "sigmoid") if task == "binary" else (2, None)
        head = layers.Dense(units, activation=activation, name="bright")
        y = head(layers.GlobalAveragePooling2D()(pixels))
    kernel, bias = (np.zeros_like(each) for each in head.get_weights())
    kernel[..., 0, 0] = 0.1
    if task == "regress":
        kernel[2, 1] = 0.1
    else:
        bias[0] = -0.1 * EDGE
    head.set_weights([kernel, bias])
    return keras.Model(x, y, name="bright")


def data_of(task: str, folder: Path) -> Path:
    drawn = images()
    if task == "segment":
        return with_partners(folder, drawn, (drawn[..., 0] > EDGE).astype(np.uint8), "masks")
    if task == "binary":
        names = ["yes" if value > EDGE else "no" for value in red(drawn)]
        return in_class_folders(folder, drawn, names)
    blue = drawn[..., 2].mean(axis=(1, 2))
    rows = np.stack([red(drawn), blue], axis=1) / 10
    return with_csv(folder, drawn, ["bright[0]", "bright[1]"], rows.tolist())


def tried(model: keras.Model, task: str, folder: Path) -> Bundle:
    return export(
        model,
        "cpu-fp32",
        output=folder / "b",
        task=Task(task),
        recipe=Recipe(preprocess="auto"),
        calibration=Calibration(eval_data=data_of(task, folder / "data")),
    )


@pytest.mark.parametrize(
    ("task", "mode", "measure"),
    [("regress", "caffe", "mae"), ("segment", "tf", "mean_iou"), ("binary", "unit", "f1")],
)
def test_the_measure_of_the_task_finds_the_mode_of_training(
    task: str, mode: str, measure: str, tmp_path: Path
) -> None:
    made = tried(trained(mode, task), task, tmp_path)
    entry = made.manifest["preprocessing"]
    assert entry["mode"] == mode
    chosen = entry["chosen"]
    assert (chosen["images"], chosen["measure"]) == (COUNT, measure)
    assert next(iter(chosen["values"])) == mode
    assert sorted(chosen["values"]) == ["caffe", "none", "tf", "torch", "unit"]
    labelled = made.manifest["labelled"]
    assert labelled["value"] == pytest.approx(chosen["values"][mode])
    assert labelled["bundle"]["value"] == pytest.approx(chosen["values"][mode], rel=1e-3)
    said = " ".join(preprocessing(made.manifest))
    assert f"40 labelled images fit it best by {title_of(measure)}: {mode} " in said


def test_modes_between_which_the_measure_does_not_tell_are_refused(tmp_path: Path) -> None:
    """The shares of red and blue are the same in 0..255 and in 0..1."""
    x = keras.Input((SIZE, SIZE, 3))
    shares = layers.UnitNormalization()(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x)))
    model = keras.Model(x, layers.Dense(2, name="bright")(shares))
    kernel = np.zeros((3, 2), np.float32)
    kernel[0, 0] = kernel[2, 1] = 20
    model.set_weights([np.eye(3)[None, None], np.zeros(3), kernel, np.zeros(2)])
    with pytest.raises(BadArgument, match=r"40 labelled images does not tell \w+ from") as caught:
        tried(model, "regress", tmp_path)
    assert len(caught.value.details) == 5
    assert "none" in str(caught.value)
    assert "unit" in str(caught.value)


def test_a_model_that_is_no_better_than_a_guess_in_any_mode_is_refused(tmp_path: Path) -> None:
    model = trained("unit", "regress")
    model.layers[-1].set_weights([np.zeros((3, 2)), np.full(2, 500.0)])
    with pytest.raises(BadArgument, match="with no preprocessing that was tried is Keras better"):
        tried(model, "regress", tmp_path)

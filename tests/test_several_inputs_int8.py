"""Models of several inputs in both runtimes and in int8, against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cpp_verifiers import Export
from keras import layers
from several_inputs import GIVEN, MODES, NUMBERS, images, joined, of_keras
from support import keras_answers, normal, randomise

from kexport import runtime
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.runtime.image import sample
from kexport.source.synthetic_images import draw_images


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return joined()


def calibration_samples(count: int) -> dict[str, Any]:
    """Draw samples as files have them: images decoded, in any size."""
    rng = np.random.default_rng(1)
    return {
        "left": draw_images(count, 16, 20, seed=1),
        "right": draw_images(count, 40, 33, seed=2),
        "depth": draw_images(count, 12, 12, channels=1, seed=3),
        "numbers": rng.normal(size=(count, 3)).astype(np.float32),
        "word": rng.integers(0, 7, (count, 2)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cpu-int8", "jetson-orin-int8"])
def test_int8_of_several_inputs(
    export_and_verify: Export, model: keras.Model, target: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "samples.npz", **calibration_samples(40))
    bundle = export_and_verify(
        model,
        target,
        output=tmp_path / "b",
        recipe=Recipe(preprocess={"*": "tf", "depth": MODES["depth"]}),
        image_input=GIVEN,
        calibration=Calibration(data=tmp_path / "samples.npz", max_drop=0.5),
    )
    entry = bundle.manifest["quantization"]
    assert (entry["images"], entry["judged_on"]) == (16, 24)
    assert target != "cpu-int8" or entry["multiply_adds_int8"] == 1.0
    drawn = images(seed=8)
    session = runtime.load(bundle.path)
    arrays = {s.name: sample(drawn[s.name], s)[None] for s in session.manifest.inputs if s.color}
    raw = arrays | {name: array[None] for name, array in NUMBERS.items()}
    given = session.run(raw)["scores"]
    assert np.abs(given - of_keras(model, raw)).max() < 0.05


@pytest.mark.slow
def test_int8_of_numbers_alone(export_and_verify: Export, tmp_path: Path) -> None:
    x = keras.Input((12,), name="x")
    y = layers.Dense(5, activation="softmax")(layers.Dense(32, activation="relu")(x))
    model = randomise(keras.Model(x, y))
    bundle = export_and_verify(
        model,
        "cpu-int8",
        output=tmp_path / "b",
        calibration=Calibration(data=normal(64, 12), max_drop=0.3),
    )
    assert bundle.manifest["quantization"]["multiply_adds_int8"] == 1.0
    raw = normal(30, 12)
    given = np.concatenate([runtime.load(bundle.path).run(row)["probabilities"] for row in raw])
    (answers,) = keras_answers(model, [raw])
    assert (given.argmax(axis=1) == answers.argmax(axis=1)).mean() > 0.9


@pytest.mark.slow
def test_both_runtimes_prove_a_bundle_of_every_kind_of_input(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    recipe = Recipe(preprocess={"*": "tf", "depth": MODES["depth"]})
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=recipe, image_input=GIVEN, batch="dynamic"
    )
    assert bundle.manifest["parity"]["passed"]

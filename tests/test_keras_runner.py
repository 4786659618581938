"""Keras on many images gives what a call of the model gives, layer by layer and traced."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import keras_answers, normal, randomise, small_classifier

from kexport.conversion import convert_model
from kexport.stages import keras_runner
from kexport.stages.keras_runner import batch_for, runner_for

IMAGES = normal(70, 24, 24, 3)


def with_inner_models() -> keras.Model:
    """Build a model with an augmentation and a classifier as inner models, and two outputs."""
    x = keras.Input((24, 24, 3))
    augmented = keras.Sequential([layers.RandomFlip(), layers.GaussianNoise(0.5)])(x)
    scores = small_classifier()(layers.Dropout(0.5)(augmented))
    return randomise(keras.Model(x, [scores, layers.GlobalMaxPooling2D()(x)]))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = small_classifier()

    def call(self, x: Any, training: bool = False) -> Any:
        return self.inner(x + float(training))


def first_output(model: keras.Model, count: int) -> tuple[np.ndarray, list[str]]:
    said: list[str] = []
    graph = convert_model(model).model
    runner = runner_for(model, graph, count)
    return runner.first_output(IMAGES, lambda raw: raw * 2, said.append, "running"), said


@pytest.mark.parametrize("build", [small_classifier, with_inner_models, Subclassed])
@pytest.mark.parametrize("count", [70, 70_000], ids=["layer by layer", "traced"])
def test_all_images_in_batches_give_what_keras_gives(build: Any, count: int) -> None:
    model = build()
    wanted = keras_answers(model, [IMAGES * 2])[0]
    found, said = first_output(model, count)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert said[-1] == "running, 100 %"


def test_a_sequential_model_without_input() -> None:
    model = keras.Sequential([layers.Rescaling(0.5), layers.Conv2D(2, 3)])
    model(IMAGES[:1])
    found, _ = first_output(model, len(IMAGES))
    np.testing.assert_allclose(found, keras_answers(model, [IMAGES * 2])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("megabytes", "images"), [(512, 32), (16, 16), (1, 1), (0.5, 1)])
def test_a_batch_fits_into_memory(
    megabytes: float, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest tensor is 64 x 64 x 16 floats, a quarter of a megabyte, four times."""
    x = keras.Input((64, 64, 3))
    graph = convert_model(keras.Model(x, layers.Conv2D(16, 1)(x))).model
    monkeypatch.setattr(keras_runner, "BATCH_BYTES", int(megabytes * (1 << 20)))
    assert batch_for(graph) == images

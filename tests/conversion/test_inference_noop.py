"""Augmentation layers: those that do nothing at inference, and those that do."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import assert_converts, keras_answers

from kexport.conversion.rules import LAYERS
from kexport.conversion.rules.inference_noop import augmentation

ARGUMENTS: dict[type, dict[str, Any]] = {
    layers.MaxNumBoundingBoxes: {"max_number": 3},
    layers.RandomBrightness: {"factor": 0.9},
    layers.RandomColorDegeneration: {"factor": 0.9},
    layers.RandomColorJitter: {
        "brightness_factor": 0.9,
        "contrast_factor": 0.9,
        "saturation_factor": 0.9,
        "hue_factor": 0.9,
    },
    layers.RandomContrast: {"factor": 0.9},
    layers.RandomCrop: {"height": 3, "width": 4},
    layers.RandomHue: {"factor": 0.9},
    layers.RandomPosterization: {"factor": 4},
    layers.RandomRotation: {"factor": 0.9},
    layers.RandomSaturation: {"factor": 0.9},
    layers.RandomSharpness: {"factor": 0.9},
    layers.RandomShear: {"x_factor": 0.9, "y_factor": 0.9},
    layers.RandomTranslation: {"height_factor": 0.9, "width_factor": 0.9},
    layers.RandomZoom: {"height_factor": 0.9},
}
"""Strong enough to show; every other class has defaults."""

QUIET = sorted(
    (kind for kind, rule in LAYERS.items() if rule is augmentation), key=lambda kind: kind.__name__
)
PICTURES = np.random.default_rng(0).uniform(0, 255, (2, 8, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", QUIET, ids=lambda kind: kind.__name__)
def test_augmentation_returns_its_images_unchanged(kind: type) -> None:
    x = keras.Input((8, 6, 3))
    model = keras.Model(x, kind(**ARGUMENTS.get(kind, {}))(x))
    (answer,) = keras_answers(model, [PICTURES])
    assert (answer == PICTURES).all()
    assert (model.predict(PICTURES, verbose=0) == PICTURES).all()
    assert assert_converts(model, PICTURES, tolerance=0.0).traced == ()


def test_augmentation_has_many_classes() -> None:
    assert len(QUIET) > 20


@pytest.mark.parametrize("kind", [layers.RandomFlip, layers.RandomBrightness])
def test_whole_numbers_match_keras(kind: type) -> None:
    x = keras.Input((8, 6, 3), dtype="uint8")
    model = keras.Model(x, kind(**ARGUMENTS.get(kind, {}))(x))
    assert_converts(model, PICTURES.astype(np.uint8))


def test_contrast_is_stretched_at_inference_too() -> None:
    x = keras.Input((8, 6, 3))
    model = keras.Model(x, layers.AutoContrast(name="stretch")(x))
    assert assert_converts(model, PICTURES).traced == ("stretch",)

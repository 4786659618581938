"""A random model for each seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from support import Array

from kexport.parity import samples
from kexport.source.image_inputs import image_specs
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images
from random_models.build import FEATURES, build
from random_models.condition import condition
from random_models.kind import Rng, pick

ATTEMPTS = 200
"""Draws for one seed before it is given up."""

MODES = ("none", "none", "tf", "caffe", "torch")

COUNT = 4
"""Number of inputs on which a model is conditioned."""

SHORTEST, LONGEST = 1e-30, 1e30
"""Limits of the spread of an output, well within float32."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A valid random model, its preprocessing, and the samples of its proof."""

    seed: int
    feature: str
    model: keras.Model
    families: frozenset[str]
    samples: samples.Samples
    redraws: Mapping[str, int]
    """How often it was drawn again, by reason."""


CONSTANT = 1e-5
"""Spread of an output, relative to its largest value, that is no more than rounding makes of a
constant in a few layers."""

FAINTEST = 1e-3
"""Least deviation of an output between samples, relative to its spread. A model whose outputs are
the same for all samples does not depend on them."""


def draw(seed: int) -> Drawn:
    """Draw a model; equal seeds give equal models, and successive seeds other kinds of layers.

    A model is drawn again if Keras refuses the arguments, or if an output is not finite, near the
    limits of float32, or the same for all inputs: there is nothing to compare.
    """
    feature = FEATURES[seed % len(FEATURES)]
    redraws: Counter[str] = Counter()
    for attempt in range(ATTEMPTS):
        keras.utils.clear_session(free_memory=False)
        rng = np.random.default_rng((seed, attempt))
        try:
            model, families = build(rng, feature)
            mode = _mode(rng, model)
            with np.errstate(all="ignore"):
                outputs = condition(model, _inputs(model, mode, rng), rng)
        except (ValueError, TypeError, tf.errors.InvalidArgumentError):
            redraws["arguments"] += 1
            continue
        if not all(map(_is_alive, outputs)):
            redraws["outputs"] += 1
            continue
        shown = samples.make(model, mode, seed)
        return Drawn(seed, feature, model, families, shown, redraws)
    raise ValueError(f"seed {seed} gives no model with {feature}")


def _mode(rng: Rng, model: keras.Model) -> str:
    if not _is_image(model):
        return "raw"
    return pick(rng, *MODES) if model.inputs[0].shape[-1] == 3 else pick(rng, "none", "tf")


def _is_image(model: keras.Model) -> bool:
    return len(model.inputs) == 1 and bool(image_specs(model))


def _inputs(model: keras.Model, mode: str, rng: Rng) -> list[Array]:
    """Draw inputs to condition a model on: ordinary ones, other than those of the proof."""
    shapes = [x.shape[1:] for x in model.inputs]
    if _is_image(model):
        images = draw_images(COUNT, *shapes[0], seed=int(rng.integers(1 << 30)))
        return [prepare(images, mode)]
    return [
        rng.integers(0, 4, (COUNT, *shape)).astype(x.dtype)
        if "int" in x.dtype
        else rng.normal(size=(COUNT, *shape)).astype(np.float32)
        for x, shape in zip(model.inputs, shapes, strict=True)
    ]


def _is_alive(output: Array) -> bool:
    if not output.size or not np.isfinite(output).all():
        return False
    exact = output.astype(np.float64)
    spread, between = exact.std(), exact.std(axis=0).max()
    is_constant = spread < CONSTANT * np.abs(exact).max() or between < FAINTEST * spread
    return bool(SHORTEST < spread < LONGEST and not is_constant)

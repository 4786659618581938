"""Rounding noise: how far a Keras model's outputs move when every number is off by one unit.

Two correct programs round differently, because they add products in another order and fold one
layer into another. How far their outputs differ depends on the model and the samples. It is
estimated by Monte Carlo arithmetic (D. S. Parker, "Monte Carlo Arithmetic", 1997; C. Denis, P. de
Oliveira Castro and E. Petit, "Verificarlo", 2016): Keras runs a few times with the inputs, every
weight, and the output of every layer multiplied by 1 + u * r, where u is a unit in the last place
and r is uniform in [-1, 1]. The change of weights stands for the rounding inside a layer: a sum of
products as computed is the exact sum for slightly different weights (N. J. Higham, "Accuracy and
Stability of Numerical Algorithms", 2002, section 3.1).

Averages, sums over whole axes and normalizations are computed in float64 there (`long_sums`), so
that the error of Keras' own is part of the noise.

Only Keras is perturbed. A wrong graph has no influence on the tolerance that it is held against.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from kexport.arrays import Array
from kexport.keras_graph import carry_over, has_nodes, is_graph, rerun, takes_training
from kexport.parity.keras_outputs import KerasOutputs, compute
from kexport.parity.long_sums import in_float64, rounds_in_one_direction
from kexport.parity.tolerance import allowed_gap

UNITS = {"fp32": 2.0**-23, "fp16": 2.0**-11}
"""Largest relative change of a number, by precision. In float32 it is the distance between 1 and
the next number, the smallest change that a product in float32 shows; in float16 it is the largest
error of rounding to nearest."""

DRAWS = 3
"""Largest number of runs. Each has as many observations as the outputs have elements."""

MARGIN = 2.0
"""How much larger the noise of further runs may be than that of the first. Where even so much
leaves a tolerance at its floor, there are no further runs."""


def measure(
    model: keras.Model,
    inputs: Sequence[Array],
    answers: KerasOutputs,
    precision: str,
    discrete: Collection[int] = (),
) -> dict[str, float]:
    """Return the largest change of each output in up to `DRAWS` runs, in the output's own units.

    For a softmax it is the largest change of the logits. A run takes two to three times as long as
    Keras' own. The inside of a subclassed layer or model is perturbed through its weights and
    inputs alone.

    Args:
        model: the Keras model; nothing of it is changed.
        inputs: one array for each input of the model, already preprocessed, batch first.
        answers: the outputs without noise, by name in the order of `keras.tree.flatten`.
        precision: "fp32" or "fp16".
        discrete: places of the inputs whose numbers are ids or masks, which no rounding changes.
    """
    names, rng = list(answers.outputs), np.random.default_rng(0)
    largest = dict.fromkeys(names, 0.0)
    for _ in range(DRAWS):
        perturbed = _Perturbed(model, UNITS[precision], rng, discrete)
        found = compute(model, inputs, names, answers.softmaxes, perturbed.call)
        found = found.only_logits(answers.logits)
        largest = {name: max(largest[name], _gap(answers, found, name)) for name in names}
        if all(_is_small(answers, name, largest[name], precision) for name in names):
            break
    return largest


def _gap(answers: KerasOutputs, found: KerasOutputs, name: str) -> float:
    """Return the largest change of an output; 0 where a value is not finite."""
    exact, moved = answers.quantity(name), found.quantity(name)
    if not exact.size or exact.shape != moved.shape:
        return 0.0
    gap = float(np.abs(exact.astype(np.float64) - moved).max())
    return gap if np.isfinite(gap) else 0.0


def _is_small(answers: KerasOutputs, name: str, noise: float, precision: str) -> bool:
    """Return whether further draws would hardly change the tolerance of an output."""
    quantity = answers.quantity(name)
    return allowed_gap(quantity, MARGIN * noise, precision) == allowed_gap(quantity, 0, precision)


class _Perturbed:
    """A model with every floating number off by up to `unit`, relative to itself."""

    def __init__(
        self,
        model: keras.Model,
        unit: float,
        rng: np.random.Generator,
        discrete: Collection[int],
    ) -> None:
        self._unit, self._rng, self._discrete = unit, rng, discrete
        self._weights = [(variable, self._number(variable.value)) for variable in model.variables]

    def call(self, model: keras.Model, batch: Any) -> Any:
        """Run the model with perturbed weights; its variables stay as they are."""
        with keras.StatelessScope(state_mapping=self._weights):
            flat = enumerate(keras.tree.flatten(batch))
            moved = [x if at in self._discrete else self._number(x) for at, x in flat]
            batch = keras.tree.pack_sequence_as(batch, moved)
            return self._run(model, batch) if is_graph(model) else model(batch, training=False)

    def _run(self, model: Any, inputs: Any) -> Any:
        if has_nodes(model):
            return rerun(model, inputs, self._step)
        for layer in model.layers:  # a Sequential model that keeps no graph
            inputs = self._step(layer, inputs)
        return inputs

    def _step(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(operation):
            return self._run(operation, args[0])
        given = {key: value for key, value in kwargs.items() if key != "training"}
        if takes_training(operation):
            given["training"] = False
        exact = rounds_in_one_direction(operation)
        found = in_float64(operation, args, given) if exact else operation(*args, **given)
        return keras.tree.map_structure(self._number, found)

    def _number(self, tensor: Any) -> Any:
        """Return a tensor of a floating type, perturbed; anything else as it is."""
        if not hasattr(tensor, "dtype") or not keras.backend.is_float_dtype(tensor.dtype):
            return tensor
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        drawn = self._rng.random(tuple(tensor.shape), np.float32)
        relative = keras.ops.convert_to_tensor((drawn * 2 - 1) * np.float32(self._unit), dtype)
        exact = keras.ops.convert_to_tensor(tensor)
        return carry_over(tensor, exact + exact * relative)

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
from kexport.parity.activation_noise import moved_activations, moved_operation
from kexport.parity.keras_outputs import KerasOutputs, compute
from kexport.parity.long_sums import NORMS, in_float64, rounds_in_one_direction
from kexport.parity.mean_rounding import moved_by_mean
from kexport.parity.tolerance import RESOLUTION, allowed_gap
from kexport.parity.units import UNITS

DRAWS = 3
"""Number of runs, unless the first leaves no doubt. Each observes every element of the outputs."""

MARGIN = 2.0
"""How much larger the noise of further runs may be than that of the first. Where even so much
leaves a tolerance at its floor, there are no further runs."""

OBSERVATIONS, MOST_DRAWS = 100, 8
"""Runs go on until so many elements of an output have moved by more than their own rounding, and to
at most `MOST_DRAWS`. Of an output that saturates, few do, and they may happen to be still in one
run."""


def measure(
    model: keras.Model,
    inputs: Sequence[Array],
    answers: KerasOutputs,
    precision: str,
    discrete: Collection[int] = (),
) -> dict[str, Array]:
    """Return the largest change of each output in some runs, for each sample, in its own units.

    For a softmax it is the largest change of the logits. A run takes two to three times as long as
    Keras' own. The inside of a subclassed layer or model is perturbed through its weights and
    inputs alone. A number that is finite in one run only has changed infinitely.

    Args:
        model: the Keras model; nothing of it is changed.
        inputs: one array for each input of the model, already preprocessed, batch first.
        answers: the outputs without noise, by name in the order of `keras.tree.flatten`.
        precision: "fp32" or "fp16".
        discrete: places of the inputs whose numbers are ids or masks, which no rounding changes.

    Returns:
        Arrays [N] by the output's name; [1] where the output is not one row for each sample.
    """
    names, rng = list(answers.outputs), np.random.default_rng(0)
    exact = {name: answers.quantity(name) for name in names}
    largest = {name: np.zeros(_rows(array, len(inputs[0]))) for name, array in exact.items()}
    moved = dict.fromkeys(names, 0)
    for draw in range(1, MOST_DRAWS + 1):
        perturbed = _Perturbed(model, UNITS[precision], rng, discrete)
        try:
            found = compute(model, inputs, names, answers.softmaxes, perturbed.call)
        except Exception:  # noqa: BLE001 - Keras' layers raise what they like: this run tells nothing
            continue
        found = found.only_logits(answers.logits)
        for name in names:
            gaps = _gaps(exact[name], found.quantity(name))
            moved[name] += int(np.count_nonzero(gaps > RESOLUTION * np.abs(exact[name])))
            rows = gaps.reshape(len(largest[name]), -1).max(axis=1, initial=0.0)
            largest[name] = np.maximum(largest[name], rows)
        if all(
            _is_enough(exact[name], largest[name], moved[name], draw, precision) for name in names
        ):
            break
    return largest


def _is_enough(exact: Array, noise: Array, moved: int, draw: int, precision: str) -> bool:
    """Return whether further runs would hardly change the tolerance of an output."""
    if draw >= DRAWS:
        return moved == 0 or moved >= OBSERVATIONS
    largest = MARGIN * float(noise.max(initial=0.0))
    floor = allowed_gap(exact, 0, precision)
    return (
        moved >= min(OBSERVATIONS, exact.size) and allowed_gap(exact, largest, precision) == floor
    )


def _rows(output: Array, count: int) -> int:
    return count if output.shape[:1] == (count,) else 1


def _gaps(exact: Array, moved: Array) -> Array:
    """Return how far each number moved: 0 where both are the same infinity, or no number."""
    if exact.shape != moved.shape:
        return np.zeros(exact.shape)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(exact.astype(np.float64) - moved)
    alike = (exact == moved) | (np.isnan(exact) & np.isnan(moved))
    return np.where(alike, 0.0, np.nan_to_num(gaps, nan=np.inf))


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
            if is_graph(model):
                return self._run(model, batch)
            with moved_activations(model, self._drawn):
                return model(batch, training=False)

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
        with moved_activations(operation, self._drawn):
            found = in_float64(operation, args, given) if exact else operation(*args, **given)
            found = moved_operation(operation, args, found, self._drawn)
        if type(operation) in NORMS:
            moved = moved_by_mean(operation, args[0], self._drawn)
            found = carry_over(found, found + keras.ops.cast(moved, found.dtype))
        return keras.tree.map_structure(self._number, found)

    def _number(self, tensor: Any) -> Any:
        """Return a tensor of a floating type, perturbed; anything else as it is."""
        if not hasattr(tensor, "dtype") or not keras.backend.is_float_dtype(tensor.dtype):
            return tensor
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        exact = keras.ops.convert_to_tensor(tensor)
        errors = keras.ops.cast(self._drawn(tensor.shape) * self._unit, dtype)
        return carry_over(tensor, exact + exact * errors)

    def _drawn(self, shape: Sequence[int]) -> Any:
        """Return numbers in [-1, 1], float32."""
        return keras.ops.convert_to_tensor(self._rng.random(tuple(shape), np.float32) * 2 - 1)

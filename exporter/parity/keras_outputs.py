"""Keras' outputs on the samples, and the logits before each softmax and sigmoid."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kexport.arrays import Array
from kexport.errors import UnsupportedModel, one_line
from kexport.keras_graph import logits_before, structured
from kexport.runtime.compare import logits_of

AT_ONCE, BYTES_AT_ONCE = 2, 1 << 18
"""The smallest batch in Keras, and the size of the inputs of a larger one. They bound the memory
that large models need."""


@dataclass(frozen=True, slots=True)
class KerasOutputs:
    """Outputs by name, float32, in Keras' own layout.

    `logits` has the input of each softmax and sigmoid among the outputs, under the output's name,
    in the same shape. An output for which Keras does not record it, or whose numbers are moved
    after it, is missing there.
    """

    outputs: dict[str, Array]
    softmaxes: tuple[str, ...]
    """The outputs that are probabilities."""
    logits: dict[str, Array]

    def quantity(self, name: str) -> Array:
        """Return the numbers that tell errors of an output: its logits, or itself if it has none.

        Where Keras does not tell those of a softmax, they are taken back from the probabilities.
        """
        if name in self.logits or name not in self.softmaxes:
            return self.logits.get(name, self.outputs[name])
        return logits_of(self.outputs[name])

    def only_logits(self, names: Collection[str]) -> KerasOutputs:
        """Return the same outputs with the logits of `names` alone."""
        return replace(
            self, logits={name: self.logits[name] for name in self.logits if name in names}
        )

    def select(self, places: Sequence[int]) -> KerasOutputs:
        """Return the outputs of some of the samples."""
        rows = list(places)
        return replace(
            self,
            outputs={name: array[rows] for name, array in self.outputs.items()},
            logits={name: array[rows] for name, array in self.logits.items()},
        )


def compute(
    model: keras.Model,
    inputs: Sequence[Array],
    names: Sequence[str],
    softmaxes: Sequence[str] = (),
    call: Callable[[keras.Model, Any], Any] | None = None,
    at_once: int | None = None,
) -> KerasOutputs:
    """Run Keras on samples.

    Args:
        model: the Keras model.
        inputs: one array for each input of the model, already preprocessed, batch first.
        names: the outputs' names, in the order of `keras.tree.flatten`.
        softmaxes: the outputs that are probabilities.
        call: runs the model on a batch in the structure of its inputs; as `Model.predict` does by
            default.
        at_once: the batch size; by default as many samples as have `BYTES_AT_ONCE` together.

    Raises:
        UnsupportedModel: Keras raises an exception for a batch of them.
    """
    run = call or _predict
    parts, inner = [], []
    at_once = at_once or max(AT_ONCE, BYTES_AT_ONCE // sum(array[:1].nbytes for array in inputs))
    for start in range(0, len(inputs[0]), at_once):
        batch = structured(model, [array[start : start + at_once] for array in inputs])
        try:
            found = keras.tree.flatten(run(model, batch))
        except Exception as error:  # Keras' layers raise what they like
            raise UnsupportedModel(
                f"Keras itself does not compute model {model.name!r} for a batch of "
                f"{len(keras.tree.flatten(batch)[0])}: {one_line(error)}",
                hint="call model.predict on such a batch, and mend the layer that fails",
            ) from error
        parts.append([keras.ops.convert_to_numpy(output) for output in found])
        kept = [logits_before(output) for output in found]
        inner.append([None if one is None else keras.ops.convert_to_numpy(one) for one in kept])
        del found, kept
    outputs = {
        name: np.concatenate(arrays).astype(np.float32)
        for name, arrays in zip(names, zip(*parts, strict=True), strict=True)
    }
    logits = {
        name: np.concatenate(arrays).astype(np.float32)
        for name, arrays in zip(names, zip(*inner, strict=True), strict=True)
        if all(array is not None for array in arrays)
    }
    fitting = {name: one for name, one in logits.items() if one.shape == outputs[name].shape}
    return KerasOutputs(outputs, tuple(softmaxes), fitting)


def _predict(model: keras.Model, batch: Any) -> Any:
    return model(batch, training=False)

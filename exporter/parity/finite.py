"""What cannot be compared: outputs of Keras that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from kexport.arrays import Array
from kexport.errors import UnsupportedModel


def require_finite(model: keras.Model, outputs: Mapping[str, Array]) -> None:
    """Check what Keras gave on the samples.

    Args:
        model: the model, whose weights are searched for the cause.
        outputs: Keras' outputs by name, batch first.

    Raises:
        UnsupportedModel: a number is NaN or infinite: no runtime can be compared with it.
    """
    for name, output in outputs.items():
        if output.dtype.kind != "f":
            continue
        wrong = ~np.isfinite(output.reshape(len(output), -1)).all(axis=1)
        if wrong.any():
            cause, hint = _cause(model)
            raise UnsupportedModel(
                f"Keras itself gives NaN or infinity in output {name!r} on {wrong.sum()} of "
                f"{len(output)} samples{cause}",
                hint=hint,
            )


def _cause(model: keras.Model) -> tuple[str, str]:
    """Return the likely cause, as the rest of a sentence, and what to do."""
    weights = [
        weight.path
        for weight in model.weights
        if not np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(weight, "float64"))).all()
    ]
    if not weights:
        return "", (
            "find the layer with keras.Model(model.inputs, model.get_layer(NAME).output), or give "
            "inputs on which the model is defined: `sampling.samples`"
        )
    more = f", and {len(weights) - 1} more" if len(weights) > 1 else ""
    return (
        f": its weight {weights[0]!r} holds such numbers{more}",
        "train it again, or take the weights of an earlier epoch",
    )

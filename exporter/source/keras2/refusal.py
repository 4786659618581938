"""The refusal of what has no equal in Keras 3."""

from __future__ import annotations

from kexport.errors import UnsupportedModel

HINT = (
    "load the file with the package tf-keras, build the same layers in Keras 3, copy the weights "
    "with set_weights(model.get_weights()), and save it as .keras"
)


def refuse(reason: str) -> UnsupportedModel:
    """Return the error for a part of a model that Keras 3 has no equal of."""
    return UnsupportedModel(reason, hint=HINT)

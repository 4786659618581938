"""Assigning the arrays of a file to the weights of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kexport.arrays import Array
from kexport.source.keras2.graph import Member
from kexport.source.keras2.refusal import refuse


def weights_of(member: Member) -> list[Any]:
    """Return the variables of a layer that is no inner model; a function has none."""
    return list(getattr(member.made, "weights", []))


def assign(member: Member, arrays: Sequence[Array]) -> None:
    """Assign all weights of a layer in their order.

    Raises:
        UnsupportedModel: the number or the shapes do not fit.
    """
    variables = weights_of(member)
    if len(variables) != len(arrays):
        raise refuse(
            f"layer {member.name!r} has {len(variables)} weights in Keras 3 and {len(arrays)} in it"
        )
    for variable, array in zip(variables, arrays, strict=True):
        assign_one(member, variable, array)
    finish(member)


def assign_one(member: Member, variable: Any, array: Array) -> None:
    """Assign one weight.

    Raises:
        UnsupportedModel: its shape does not fit.
    """
    if tuple(variable.shape) != array.shape:
        raise refuse(
            f"{variable.name!r} of layer {member.name!r} has the shape {tuple(variable.shape)} in "
            f"Keras 3 and {array.shape} in it"
        )
    variable.assign(array)


def finish(member: Member) -> None:
    """Let a layer derive what it computes from its weights."""
    if isinstance(member.made, keras.layers.Normalization):
        member.made.finalize_state()

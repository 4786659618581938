"""The weights of an .h5 file of Keras 2."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from kexport.arrays import Array
from kexport.source.keras2.assign import assign, weights_of
from kexport.source.keras2.graph import Built, Member
from kexport.source.keras2.refusal import refuse


def fill(built: Built, file: h5py.File) -> None:
    """Assign the weights of an .h5 file.

    It has a group for each layer of the outer model, which lists the names of its weights in their
    order. Those of an inner model have the name of their layer in their path.

    Raises:
        UnsupportedModel: weights that fit no layer, or not the one of their name.
    """
    root = file.get("model_weights", file)
    for member in built.members:
        group = root.get(member.name)
        names = [] if group is None else _texts(group.attrs, "weight_names")
        arrays = {name: np.asarray(group[name]) for name in names}
        if isinstance(member.made, Built):
            _fill_inner(member.name, _leaves(member.made), arrays)
        elif member.class_name != "InputLayer":
            assign(member, _of_layer(member, arrays))


def _leaves(built: Built) -> list[Member]:
    """List the layers of a model and its inner models that have weights."""
    found = []
    for member in built.members:
        if isinstance(member.made, Built):
            found += _leaves(member.made)
        elif member.class_name != "InputLayer" and weights_of(member):
            found.append(member)
    return found


def _fill_inner(model: str, leaves: list[Member], arrays: Mapping[str, Array]) -> None:
    """Assign the weights of an inner model, each to the layer whose name is in its path."""
    held: dict[str, dict[str, Array]] = {leaf.name: {} for leaf in leaves}
    if len(held) != len(leaves):
        raise refuse(f"two layers in {model!r} have one name")
    for path, array in arrays.items():
        inside = [name for name in held if f"/{name}/" in f"/{path}"]
        if not inside:
            raise refuse(f"the weight {path!r} in {model!r} belongs to none of its layers")
        held[max(inside, key=len)][path] = array
    for leaf in leaves:
        assign(leaf, _of_layer(leaf, held[leaf.name]))


def _of_layer(member: Member, arrays: Mapping[str, Array]) -> list[Array]:
    """Return the arrays of a layer without those that Keras 3 does not keep as weights."""
    kept = list(arrays.values())
    if len(kept) == len(weights_of(member)):
        return kept
    return [
        array
        for path, array in arrays.items()
        if path.rpartition("/")[2].partition(":")[0] not in ("count", "StateVar")
    ]


def _texts(attributes: Any, name: str) -> list[str]:
    """Read a list of names, which Keras splits into parts where it is too long for HDF5."""
    parts = [attributes[name]] if name in attributes else []
    for number in itertools.count():
        part = attributes.get(f"{name}{number}")
        if part is None:
            break
        parts.append(part)
    return [
        each.decode() if isinstance(each, bytes) else str(each) for part in parts for each in part
    ]

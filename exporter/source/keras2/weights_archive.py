"""The weights of a .keras archive of Keras 2.12 and later."""

from __future__ import annotations

import re
from typing import Any

import h5py
import numpy as np

from kexport.arrays import Array
from kexport.keras_graph import snake_case
from kexport.source.keras2.assign import assign_one, finish, weights_of
from kexport.source.keras2.graph import Built, Member
from kexport.source.keras2.refusal import refuse

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Names of the group with the layers of a model; the second until Keras 2.13."""


def fill(built: Built, file: h5py.File) -> None:
    """Assign the weights of the file `model.weights.h5` in an archive.

    It names the layers of a model by their classes and numbers, in the order of the model, and the
    parts of a layer by its attributes.

    Raises:
        UnsupportedModel: weights that fit no layer, or not the one of their place.
    """
    _fill_model(built, file)


def _fill_model(built: Built, group: Any) -> None:
    group = group.get("layer", group)  # of a TimeDistributed model
    held: Any = next((group[name] for name in _CONTAINERS if name in group), {})
    weighted = [member for member in built.members if _has_weights(member)]
    for kind in dict.fromkeys(map(_kind, weighted)):
        members = [member for member in weighted if _kind(member) == kind]
        groups = _numbered(held, kind)
        if len(groups) != len(members):
            raise refuse(f"{len(members)} layers {kind!r} have weights, and {len(groups)} in it")
        for member, found in zip(members, groups, strict=True):
            if isinstance(member.made, Built):
                _fill_model(member.made, found)
            else:
                _fill_layer(member, found)


def _fill_layer(member: Member, group: Any) -> None:
    arrays = _arrays(group)
    if len(arrays) != len(weights_of(member)):
        raise refuse(
            f"layer {member.name!r} has {len(weights_of(member))} weights in Keras 3 and "
            f"{len(arrays)} in it"
        )
    for path, array in arrays.items():
        *parts, _, place = path.split("/")
        part = member.made
        for name in parts:
            part = _part(part, name)
        assign_one(member, part.weights[int(place)], array)
    finish(member)


def _part(part: Any, name: str) -> Any:
    """Return an attribute of a layer, or the item of a list by its class and number."""
    if not isinstance(part, (list, tuple)):
        return getattr(part, name)
    kind, number = _split(name)
    return [each for each in part if snake_case(type(each).__name__) == kind][number]


def _has_weights(member: Member) -> bool:
    if isinstance(member.made, Built):
        return any(map(_has_weights, member.made.members))
    return member.class_name != "InputLayer" and bool(weights_of(member))


def _arrays(group: Any) -> dict[str, Array]:
    """Return the arrays of a group and the groups in it, by their paths."""
    found: dict[str, Array] = {}

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[path] = np.asarray(item)

    group.visititems(visit)
    return found


def _numbered(held: Any, kind: str) -> list[Any]:
    """Return the groups `kind`, `kind_1`, ... that hold arrays, in the order of their numbers."""
    numbers = {_split(name)[1]: name for name in held if _split(name)[0] == kind}
    return [held[numbers[each]] for each in sorted(numbers) if _arrays(held[numbers[each]])]


def _split(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)_(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def _kind(member: Member) -> str:
    return snake_case("Functional" if member.class_name == "Model" else member.class_name)

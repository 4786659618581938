"""The weights of an .h5 file of Keras 2."""

from __future__ import annotations

from collections.abc import Mapping

import h5py
import numpy as np

from kexport.arrays import Array
from kexport.source.keras2 import cudnn
from kexport.source.keras2.assign import assign, weights_of
from kexport.source.keras2.attributes import text_of, texts_of
from kexport.source.keras2.graph import Built, Member
from kexport.source.keras2.refusal import refuse


def fill(built: Built, file: h5py.File) -> None:
    """Assign the weights of an .h5 file.

    It has a group for each layer of the outer model, which lists the names of its weights in their
    order. Those of an inner model have the name of their layer in their path.

    Raises:
        UnsupportedModel: weights that fit no layer, or not the one of their name, or kernels that
            Theano wrote.
    """
    if text_of(file.attrs.get("backend", "")) == "theano":
        _refuse_theano(_leaves(built))
    root = file.get("model_weights", file)
    for member in built.members:
        group = root.get(member.name)
        names = [] if group is None else texts_of(group.attrs, "weight_names")
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
    rest: dict[str, Array] = {}
    for path, array in arrays.items():
        inside = [name for name in held if f"/{name}/" in f"/{path}"]
        found = held[max(inside, key=len)] if inside else rest
        found[path] = array
    without = [name for name, found in held.items() if not found]
    if rest and len(without) != 1:
        raise refuse(f"the weight {next(iter(rest))!r} in {model!r} belongs to none of its layers")
    if rest:  # Normalization gives its weights no path
        held[without[0]] = rest
    for leaf in leaves:
        assign(leaf, _of_layer(leaf, held[leaf.name]))


def _refuse_theano(leaves: list[Member]) -> None:
    """Refuse kernels of convolutions, which Theano turns by half a turn."""
    for leaf in leaves:
        if any(len(variable.shape) > 2 for variable in weights_of(leaf)):
            raise refuse(f"the kernels of layer {leaf.name!r} are those of the backend Theano")


def _of_layer(member: Member, arrays: Mapping[str, Array]) -> list[Array]:
    """Return the arrays of a layer as Keras 3 keeps them, without states of random numbers."""
    kept = [
        array
        for path, array in arrays.items()
        if path.rpartition("/")[2].partition(":")[0] != "StateVar"
    ]
    return cudnn.converted(member.made, kept)

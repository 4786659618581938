"""Inputs of a Keras model: their names, dtypes, shapes and structure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import onnx_ir as ir

from kexport.errors import UnsupportedModel
from kexport.keras_graph.axes import name_axes


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input as Keras declares it, with float32 for any type of floating-point numbers.

    Open axes have a name in place of a number (`axes`).
    """

    name: str
    dtype: ir.DataType
    shape: tuple[int | str, ...]


def input_specs(model: keras.Model) -> tuple[InputSpec, ...]:
    """Return each input of a model, in the order of `keras.tree.flatten`.

    An input in a dict has the name of its key, any other the name of its Input layer. An input
    without a name is called `input`, or `input_0` and so on where there are several. The shapes of
    a subclassed model are those that it was first called on.

    Raises:
        UnsupportedModel: the model has never been called, so its inputs are not known; it takes
            them as several arguments, which `Model.predict` cannot give it; or one is ragged.
    """
    inputs = getattr(model, "inputs", None)
    if inputs:
        given = [None if _COUNTED.fullmatch(x.name) else x.name for x in inputs]
        numbered = _numbered(len(inputs))
        names = _keys(_structure(model)) or [
            name or number for name, number in zip(given, numbered, strict=True)
        ]
        _refuse_ragged(names, inputs)
        return _specs(names, [x.dtype for x in inputs], [x.shape for x in inputs])
    shapes = _shapes(model)
    flat = [shape.sizes for shape in keras.tree.flatten(shapes)]
    names = _keys(shapes) or _numbered(len(flat))
    dtypes = [model.input_dtype] * len(flat)
    return _specs(names, dtypes, [(None, *shape[1:]) for shape in flat])


def _refuse_ragged(names: Sequence[str], inputs: Sequence[Any]) -> None:
    for name, x in zip(names, inputs, strict=True):
        if x.ragged:
            raise UnsupportedModel(
                f"input {name!r} is ragged, and ONNX has no ragged tensors",
                hint="take padded sequences instead, with a Masking layer or a mask as an input",
            )


def structured(model: keras.Model, flat: Sequence[Any]) -> Any:
    """Pack values for the call of a model, one for each input in the order of `input_specs`."""
    structure = _structure(model)
    if structure is None and not getattr(model, "inputs", None):
        structure = _shapes(model)
    if structure is None:
        return flat[0]
    return keras.tree.pack_sequence_as(structure, list(flat))


def _structure(model: keras.Model) -> Any:
    """Return the structure of a functional model's inputs; None for other models."""
    return getattr(model, "_inputs_struct", None)


def _shapes(model: keras.Model) -> Any:
    """Return the shapes a subclassed model was first called on, in the structure its call takes."""
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not shapes:
        raise UnsupportedModel(
            f"model {model.name!r} has no known inputs: it has not been built",
            hint="call it once on an array, or give it an Input layer, before exporting",
        )
    required = required_arguments(model)
    if len(required) > 1:
        raise UnsupportedModel(
            f"model {model.name!r} takes its inputs as {len(required)} arguments: "
            f"{', '.join(required)}",
            hint="let its call take one list or dict of them, as Model.predict gives it",
        )
    return _leaves(shapes)


def required_arguments(model: keras.Model) -> list[str]:
    """Return the names of the arguments that a call of the model cannot do without."""
    return [
        name
        for name, parameter in inspect.signature(model.call).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and name not in ("training", "mask")
    ]


def _numbered(count: int) -> list[str]:
    return ["input"] if count == 1 else [f"input_{i}" for i in range(count)]


def _keys(structure: Any) -> list[str]:
    """Return the names that a dict gives to inputs, in the order of `keras.tree.flatten`.

    The list is empty for any other structure.
    """
    if not isinstance(structure, dict):
        return []
    return ["_".join(map(str, path)) for path, _ in keras.tree.flatten_with_path(structure)]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A shape that `keras.tree` treats as a leaf."""

    sizes: tuple[int | None, ...]


def _leaves(shapes: Any) -> Any:
    """Turn every shape in a structure, a list or tuple of sizes, into a leaf."""
    if isinstance(shapes, dict):
        return {key: _leaves(value) for key, value in shapes.items()}
    if all(isinstance(size, int) or size is None for size in shapes):
        return _Shape(tuple(shapes))
    return [_leaves(value) for value in shapes]


def _specs(
    names: Sequence[str], dtypes: Sequence[str], shapes: Sequence[Sequence[int | None]]
) -> tuple[InputSpec, ...]:
    cleaned = [_clean(name) for name in names]
    named = name_axes(list(zip(cleaned, shapes, strict=True)))
    types = [ir.DataType["FLOAT" if dtype in _FLOATS else dtype.upper()] for dtype in dtypes]
    return tuple(map(InputSpec, cleaned, types, named))


_FLOATS = frozenset({"bfloat16", "float16", "float32", "float64"})
"""Types of Keras that a graph takes and computes in float32; the target decides on others."""


_COUNTED = re.compile(r"keras_tensor(_\d+)?(CLONE)?")
"""Names that Keras makes up by counting all tensors of the process."""


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name)

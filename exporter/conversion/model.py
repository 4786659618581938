"""A whole Keras model as an ONNX model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.graph import IR_VERSION, Graph
from kexport.conversion.outputs import Kind, Output, name_outputs
from kexport.conversion.tensor import Tensor, channels_second
from kexport.conversion.walk import call, is_graph, run_graph
from kexport.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX model, and how it came out of Keras."""

    model: ir.Model
    outputs: tuple[Output, ...]
    traced: tuple[str, ...]
    """Layers that had no rule and went through tf2onnx."""


def convert_model(model: keras.Model, *, kind: Kind | None = None) -> Converted:
    """Convert a built Keras model: same inputs, same outputs, same layout (NHWC stays NHWC).

    Inputs keep their Keras names; axes that Keras leaves open become named dimensions ("batch"
    first). Weights are read from the Keras variables only when the result is written out.

    Args:
        model: a built Keras model.
        kind: what its only output is, where more is known than the layers tell.

    Raises:
        UnsupportedModel: the model has not been built, or holds a layer that has no ONNX form.
    """
    specs = input_specs(model)
    g = Graph(model.name)
    tensors = [_declare(g, model, spec) for spec in specs]
    inputs = keras.tree.pack_sequence_as(_input_structure(model), tensors)
    run = run_graph if is_graph(model) else call
    results = run(g, model, inputs)
    outputs = name_outputs(model, results, kind, taken=[spec.name for spec in specs])
    for output, result in zip(outputs, keras.tree.flatten(results), strict=True):
        g.ir.outputs.append(_visible(g, output.name, result))
    onnx_model = ir.Model(g.ir, ir_version=IR_VERSION, producer_name="kexport")
    return Converted(onnx_model, outputs, tuple(g.traced))


def _declare(g: Graph, model: keras.Model, spec: InputSpec) -> Tensor:
    """An input; one that convolutions read is transposed here, once and before anything else."""
    x = g.input(spec.name, spec.dtype, spec.shape)
    if x.rank < 3 or not is_graph(model) or not _wants_channels_first(model, x.rank):
        return x
    order = channels_second(x.rank, -1)
    return Tensor(g.stored(x, order), order)


def _wants_channels_first(model: keras.Model, rank: int) -> bool:
    return any(
        getattr(layer, "kernel_size", getattr(layer, "pool_size", None)) is not None
        and getattr(layer, "data_format", "") == "channels_last"
        and len(layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size) == rank - 2
        for layer in _flat(model)
        if not isinstance(layer, keras.Model)
    )


def _flat(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _flat(layer)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input as Keras declares it; open axes have a name in place of a number."""

    name: str
    dtype: ir.DataType
    shape: tuple[int | str, ...]


def input_specs(model: keras.Model) -> tuple[InputSpec, ...]:
    """Each input of a model, in Keras' order.

    Raises:
        UnsupportedModel: the model has never been called, so its inputs are not known.
    """
    inputs = getattr(model, "inputs", None)
    if inputs:
        return tuple(_spec(x.name, x.dtype, x.shape) for x in inputs)
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not shape:
        raise UnsupportedModel(
            f"model {model.name!r} has no known inputs: it has not been built",
            hint="call it once on an array, or give it an Input layer, before exporting",
        )
    shapes = [shape] if not isinstance(shape[0], (list, tuple)) else shape
    names = ["input"] if len(shapes) == 1 else [f"input_{i}" for i in range(len(shapes))]
    return tuple(
        _spec(name, model.input_dtype, (None, *shape[1:]))
        for name, shape in zip(names, shapes, strict=True)
    )


def _spec(name: str, dtype: str, shape: Sequence[int | None]) -> InputSpec:
    dims = tuple(_dim_name(axis) if dim is None else dim for axis, dim in enumerate(shape))
    return InputSpec(_clean(name), ir.DataType[_ONNX_NAMES.get(dtype, dtype.upper())], dims)


_ONNX_NAMES = {"float32": "FLOAT", "float64": "DOUBLE"}
"""Keras dtypes that ONNX calls by another name."""


def _input_structure(model: keras.Model) -> Any:
    structure = getattr(model, "_inputs_struct", None)
    if structure is not None:
        return structure
    count = len(input_specs(model))
    return None if count == 1 else [None] * count


def _dim_name(axis: int) -> str:
    return "batch" if axis == 0 else f"dim_{axis}"


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name)


def _visible(g: Graph, name: str, result: Tensor) -> ir.Value:
    """The value of an output as Keras lays it out, under its own name."""
    value = g.in_keras_order(result)
    if value.producer() is None or value in g.ir.outputs:
        value = g.op("Identity", value)
    value.name = name
    return value

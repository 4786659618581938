"""Shapes of the outputs of traced calls, with the names that open axes have in the model.

An output's open axis has the name of an input's if both have the same extent in each of `TRIALS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.tensor import Tensor
from kexport.conversion.tf2onnx_run import Traced
from kexport.needs import need

TRIALS = ((1009, 1511, 2003, 2503, 3001, 3511), (17, 29, 43, 61, 83, 107))
"""Extents that open axes are given, one after the other; equal ones by chance are unlikely."""

Extents = dict[str, int]
Dims = Sequence[int | None] | None


def axis_names(values: Sequence[ir.Value]) -> list[str]:
    """Return the names of the open axes of some values."""
    dims = (dim for x in values for dim in x.shape or () if not isinstance(dim, int))
    return sorted({dim.value for dim in dims if dim.value is not None})


def dtype_of(value: ir.Value) -> ir.DataType:
    """Return the type of a value.

    Raises:
        ValueError: it is not known.
    """
    if value.dtype is None:
        raise ValueError(f"the type of {value.name!r} is not known")
    return value.dtype


def inferred_shapes(traced: Traced, sources: Sequence[ir.Value]) -> list[ir.Shape | None]:
    """Return the shapes of the outputs as TensorFlow infers them; None for an unknown rank."""
    known = [_dims(y) for y in traced.concrete.outputs]
    if all(dims is not None and None not in dims for dims in known):
        return [ir.Shape(dims or ()) for dims in known]
    trials = [(extents, _outputs_at(traced, sources, extents)) for extents in _trials(sources)]
    return [
        None if dims is None else _named(dims, [(extents, at[i]) for extents, at in trials])
        for i, dims in enumerate(known)
    ]


def complete_declared(
    layer: Any, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Complete the shapes of the outputs with what Keras' own inference knows beyond the trace.

    A layer may declare another number of axes than it has; the trace is right then.
    """
    tensors = keras.tree.flatten(outputs)
    if all(not axis_is_open(dim) for y in tensors for dim in y.value.shape or ()):
        return
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
    try:
        known = _declared(layer, args, kwargs, {})
        values = [x.value for x in inputs]
        trials = [(at, _declared(layer, args, kwargs, at)) for at in _trials(values)]
    except Exception:  # noqa: BLE001 - a layer's own code, which may declare nothing or raise
        return
    for i, (output, dims) in enumerate(zip(tensors, known, strict=False)):
        if output not in inputs and dims is not None and len(dims) == output.rank:
            declared = _named(dims, [(extents, at[i]) for extents, at in trials])
            output.value.shape = ir.Shape(
                theirs if axis_is_open(ours) else ours
                for ours, theirs in zip(output.value.shape, declared, strict=True)
            )


def axis_is_open(dim: int | ir.SymbolicDim) -> bool:
    """Tell whether an axis has neither an extent nor a name."""
    return not isinstance(dim, int) and dim.value is None


def _trials(values: Sequence[ir.Value]) -> Iterator[Extents]:
    names = axis_names(values)
    for numbers in TRIALS:
        yield dict(zip(names, numbers, strict=False))


def _named(dims: Sequence[int | None], trials: Sequence[tuple[Extents, Dims]]) -> ir.Shape:
    """Return a shape whose open axes have the only name that fits in all trials, if any."""
    shape: list[int | str | None] = []
    for axis, dim in enumerate(dims):
        fitting = [
            {name for name, extent in extents.items() if at is not None and at[axis] == extent}
            for extents, at in trials
        ]
        names = set.intersection(*fitting)
        shape.append(names.pop() if dim is None and len(names) == 1 else dim)
    return ir.Shape(shape)


def _declared(
    layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], extents: Extents
) -> list[Dims]:
    """Return the shapes that Keras infers for the outputs where open axes have `extents`."""
    symbolic_args, symbolic_kwargs = keras.tree.map_structure(
        lambda x: _symbol(x, extents) if isinstance(x, Tensor) else x, (args, kwargs)
    )
    declared = layer.compute_output_spec(*symbolic_args, **symbolic_kwargs)
    return [tuple(spec.shape) for spec in keras.tree.flatten(declared)]


def _symbol(x: Tensor, extents: Extents) -> Any:
    stored = x.value.shape or ()
    dims = [stored[x.order.index(axis)] for axis in range(x.rank)]
    return keras.KerasTensor(
        [_extent(dim, extents) for dim in dims], dtype_of(x.value).numpy().name
    )


def _extent(dim: int | ir.SymbolicDim, extents: Extents) -> int | None:
    return dim if isinstance(dim, int) else extents.get(dim.value or "")


def _outputs_at(traced: Traced, sources: Sequence[ir.Value], extents: Extents) -> list[Dims]:
    """Return the shapes that TensorFlow infers for the outputs where open axes have `extents`."""
    tf = need("tensorflow")
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(traced.graph)
    for node in graph.node:
        node.attr.pop("_output_shapes", None)
    kept = {node.name for node in graph.node}
    with tf.Graph().as_default():
        given = {}
        for name, source in zip(traced.inputs, sources, strict=True):
            if name.partition(":")[0] in kept:
                dims = [_extent(dim, extents) for dim in source.shape or ()]
                given[name] = tf.compat.v1.placeholder(traced.dtype(name), dims)
        try:
            outputs = tf.import_graph_def(
                graph, input_map=given, return_elements=traced.outputs, name=""
            )
        except ValueError:  # extents that the graph cannot have
            return [None] * len(traced.outputs)
        return [_dims(y) for y in outputs]


def _dims(tensor: Any) -> Dims:
    return None if tensor.shape.rank is None else tensor.shape.as_list()

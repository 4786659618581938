"""Conversion of a whole Keras model: its inputs, every call in its graph, its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion import masks
from kexport.conversion.builder import IR_VERSION, Graph
from kexport.conversion.outputs import name_outputs
from kexport.conversion.rules import Rule, rule_for, takes_mask
from kexport.conversion.rules.inference_noop import augmentation, identity
from kexport.conversion.tensor import Tensor, channels_second
from kexport.conversion.tf2onnx_fallback import trace_layer
from kexport.conversion.time_distributed import time_distributed
from kexport.conversion.unsupported import NoRule, refuse, refuse_class, refuse_stateful
from kexport.keras_graph import (
    InputSpec,
    computes_mask,
    has_nodes,
    input_specs,
    is_graph,
    is_quantized,
    passes_masks_on,
    rerun,
    structured,
)
from kexport.outputs import Kind, Output


def call(g: Graph, operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Convert one call of a layer, model or operation; tensors come in and go out as `Tensor`.

    The `training` argument recorded in the graph is ignored, as `Model.predict` ignores it: Keras
    calls the model with `training=False`, and a functional model gives that to each of its layers.
    """
    kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    with g.scope(operation.name):
        if is_graph(operation) and not computes_mask(operation):
            return _call_model(g, operation, args, kwargs)
        if type(operation) is keras.layers.SpectralNormalization:
            return call(g, operation.layer, *args)
        refuse_stateful(operation)
        rule = _rule(operation)
        if rule is None or is_quantized(operation):
            refuse_class(operation)
            return trace_layer(g, operation, args, kwargs)
        if isinstance(operation, keras.Layer):
            return _call_layer(rule, g, operation, args, kwargs)
        try:
            return masks.without(g, _by_rule(rule, g, operation, *args, **kwargs))
        except NoRule:
            return trace_layer(g, operation, args, kwargs)


def _rule(operation: Any) -> Rule | None:
    """Return the rule for a layer or operation; that of a wrapper converts other layers."""
    if type(operation) is keras.layers.TimeDistributed:
        return partial(time_distributed, call)
    return rule_for(operation)


def _call_model(g: Graph, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Convert a call of an inner model; its inputs keep their masks, or get those of `mask`."""
    for name in sorted(set(kwargs) - {"inputs", "mask"}):
        refuse(model, name, kwargs[name], "a call with inputs and a mask only")
    filled = masks.fill(g, model, args, kwargs)
    masks.replace(g, filled.first, filled.rest.get("mask"))
    outputs = run_graph(g, model, filled.first)
    masks.leave(g, model, filled, outputs)
    return outputs


def _call_layer(
    rule: Rule, g: Graph, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Convert a call of a layer by its rule, and give the outputs the masks that Keras gives them.

    A rule that takes no mask serves where masks do not change what the layer computes, and any rule
    where the layer is called on tensors of the graph alone, neither on an array nor on a dictionary
    that it changes, such as an image with its boxes.
    """
    filled = masks.fill(g, layer, args, kwargs)
    given = filled.rest
    by_name = isinstance(filled.first, dict) and rule not in (identity, augmentation)
    if by_name or not all(isinstance(x, Tensor) for x in keras.tree.flatten(filled.first)):
        return trace_layer(g, layer, args, kwargs)
    if not takes_mask(layer):
        if filled.masked and not passes_masks_on(layer):
            return trace_layer(g, layer, args, kwargs)
        given = {key: value for key, value in given.items() if key != "mask"}
    try:
        outputs = _by_rule(rule, g, layer, filled.first, **given)
    except NoRule:
        return trace_layer(g, layer, args, kwargs)
    if not layer.supports_masking and rule not in (identity, augmentation):
        outputs = masks.without(g, outputs)
    masks.leave(g, layer, filled, outputs)
    return outputs


def _by_rule(rule: Rule, g: Graph, operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Convert a call by a rule.

    Raises:
        NoRule: the rule serves other calls, or ONNX refuses a type or shape that it gave a node.
    """
    try:
        return rule(g, operation, *args, **kwargs)
    except (TypeError, ValueError) as error:
        raise NoRule(str(error)) from error


def run_graph(g: Graph, model: Any, inputs: Any) -> Any:
    """Convert every call in the graph of a functional or Sequential model, in Keras' own order."""
    if not has_nodes(model):
        for layer in model.layers:
            inputs = call(g, layer, inputs)
        return inputs

    def convert_call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        return call(g, operation, *args, **kwargs)

    return rerun(model, inputs, convert_call)


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX model, and how it was converted."""

    model: ir.Model
    outputs: tuple[Output, ...]
    traced: tuple[str, ...]
    """Names of the layers that had no rule and went through tf2onnx."""


def convert_model(model: keras.Model, *, kind: Kind | None = None) -> Converted:
    """Convert a built Keras model: same inputs, same outputs, same layout (NHWC stays NHWC).

    Inputs keep their Keras names; axes that Keras leaves open become named dimensions ("batch"
    first). Weights are read from the Keras variables only when the result is written out.

    Args:
        model: a built Keras model.
        kind: the kind of its only output, where more is known than its layer tells.

    Raises:
        UnsupportedModel: the model has not been built, or holds a layer that has no ONNX form.
    """
    specs = input_specs(model)
    g = Graph(model.name)
    tensors = [_declare(g, model, spec) for spec in specs]
    inputs = structured(model, tensors)
    run = run_graph if is_graph(model) else call
    results = run(g, model, inputs)
    outputs = name_outputs(model, results, kind, taken=[spec.name for spec in specs])
    for output, result in zip(outputs, keras.tree.flatten(results), strict=True):
        g.ir.outputs.append(_visible(g, output.name, result))
    onnx_model = ir.Model(g.ir, ir_version=IR_VERSION, producer_name="kexport")
    return Converted(onnx_model, outputs, tuple(g.traced))


def _declare(g: Graph, model: keras.Model, spec: InputSpec) -> Tensor:
    """Declare an input; transpose it first and once where convolutions read it."""
    x = g.input(spec.name, spec.dtype, spec.shape)
    if x.rank < 3 or not is_graph(model) or not _wants_channels_first(model, x.rank):
        return x
    order = channels_second(x.rank, -1)
    return Tensor(g.stored(x, order), order)


def _wants_channels_first(model: keras.Model, rank: int) -> bool:
    """Tell whether a convolution or pooling of inputs with `rank` axes has its channels last.

    Own layers may mean something else by `kernel_size` and `pool_size`, such as one number.
    """
    sizes = (
        getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
        for layer in _flat(model)
        if getattr(layer, "data_format", "") == "channels_last"
    )
    return any(isinstance(size, (tuple, list)) and len(size) == rank - 2 for size in sizes)


def _flat(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model, and those of the models among them."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _flat(layer)


def _visible(g: Graph, name: str, result: Tensor) -> ir.Value:
    """Return the value of an output in the order of Keras' axes, under its own name."""
    value = g.in_keras_order(result)
    if value.producer() is None or value in g.ir.outputs:
        value = g.op("Identity", value)
    value.name = name
    return value

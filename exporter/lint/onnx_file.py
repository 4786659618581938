"""Read an ONNX file that anybody wrote: whole, valid, and with its usual spellings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError
from onnx import checker, shape_inference

from kexport.errors import UnreadableModel
from kexport.lint.context import SPARSE
from kexport.lint.stored_tensors import fault_of

ALIAS = "ai.onnx"
"""The other name of ONNX's default domain "" (ONNX IR specification, "Operator sets")."""

LONGEST = 240
"""Characters of a message of ONNX's checker."""

UNKNOWN = "unknown.to.onnx"
"""The domain under which the checker sees operators that it does not know, such as plug-ins."""


def open_onnx(path: Path) -> ir.Model:
    """Read an ONNX file without its external data, and infer its types and shapes.

    What ONNX's own checker refuses is refused, except operators of the default domain that are not
    ONNX's or not in that opset: a parser may have them as plug-ins.

    Raises:
        UnreadableModel: the file does not exist, it is not an ONNX model, or not a valid one.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UnreadableModel(
            f"{path} cannot be read: {error.strerror or error}",
            hint="give the path of an ONNX file",
        ) from error
    except DecodeError as error:
        raise _not_onnx(path) from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise _not_onnx(path)
    fault = _fault(proto, path)
    if fault is not None:
        raise _invalid(path, fault)
    model = _inferred(proto, path)
    model.meta[SPARSE] = [tensor.values.name for tensor in proto.graph.sparse_initializer]
    return model


def _inferred(proto: onnx.ModelProto, path: Path) -> ir.Model:
    try:
        return ir.from_proto(shape_inference.infer_shapes(proto))
    except shape_inference.InferenceError as error:
        raise _invalid(path, _words(error)) from error
    except (ValueError, TypeError, KeyError, RuntimeError, RecursionError, EncodeError) as error:
        raise _invalid(path, _words(_first_cause(error))) from error


def _fault(proto: onnx.ModelProto, path: Path) -> str | None:
    """Return what makes a model invalid, in words; None where nothing does.

    Its default domain is spelled as usual afterwards.
    """
    for one in proto.opset_import:
        if one.version < 1:
            return f"its opset is {one.version}"
    if any(isinstance(text, bytes) for text in _texts(proto)):
        return "it has a name that is not UTF-8"
    for tensor in tensors(proto):
        fault = fault_of(tensor, path.parent)
        if fault is not None:
            return f"the tensor '{tensor.name}' {fault}"
    for value in (value for graph in graphs(proto) for value in _values(graph)):
        if any(dim.dim_value < 0 for dim in value.type.tensor_type.shape.dim):
            return f"'{value.name}' has a negative size"
    _use_default_domain(proto)
    try:
        checker.check_model(_without_data(proto))
    except (checker.ValidationError, onnx.defs.SchemaError, UnicodeDecodeError) as error:
        return _words(error)
    except (ValueError, EncodeError) as error:
        return f"ONNX's checker cannot read it: {_words(error)}"
    return None


def graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """Yield the graph of a model, its functions, and the graphs inside them."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [proto.graph, *proto.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for attribute in _attributes(graph):
            waiting += [attribute.g] if attribute.HasField("g") else []
            waiting += attribute.graphs


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a model stores: initializers, and attributes of nodes."""
    for graph in graphs(proto):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        for attribute in _attributes(graph):
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _attributes(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.AttributeProto]:
    for node in graph.node:
        yield from node.attribute


def _values(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.ValueInfoProto]:
    if isinstance(graph, onnx.GraphProto):
        yield from graph.input
        yield from graph.output
    yield from graph.value_info


def _texts(proto: onnx.ModelProto) -> Iterator[str | bytes]:
    """Yield names; protobuf gives those that are not UTF-8 as bytes."""
    for holder in (proto, *proto.functions):
        yield from (one.domain for one in holder.opset_import)
    for graph in graphs(proto):
        yield graph.name
        for node in graph.node:
            yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
            yield from (attribute.name for attribute in node.attribute)
        for value in _values(graph):
            yield value.name
            yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in tensors(proto))


def _use_default_domain(proto: onnx.ModelProto) -> None:
    """Replace the alias of the default domain, which libraries do not all know."""
    for holder in (proto, *proto.functions):
        for one in holder.opset_import:
            if one.domain == ALIAS:
                one.domain = ""
    for graph in graphs(proto):
        for node in graph.node:
            if node.domain == ALIAS:
                node.domain = ""


def _without_data(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model for the checker: without the data of tensors, and without what it demands alone.

    Those are shapes of inputs and outputs, and operators of the default domain that it knows.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for tensor in tensors(copy):
        kept = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0])
        tensor.CopyFrom(kept)
    versions = {one.domain: one.version for one in copy.opset_import}
    for graph in graphs(copy):
        if isinstance(graph, onnx.GraphProto):
            graph.initializer.extend(sparse.values for sparse in graph.sparse_initializer)
            del graph.sparse_initializer[:]
        for value in _values(graph):
            if value.type.WhichOneof("value") in (None, "tensor_type"):
                value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or 1
                value.type.tensor_type.shape.SetInParent()
        for node in graph.node:
            if node.domain == "" and not _is_known(node.op_type, versions.get("", 1)):
                node.domain = UNKNOWN
    if UNKNOWN not in versions:
        copy.opset_import.add(domain=UNKNOWN, version=1)
    return copy


def _is_known(op_type: str, version: int) -> bool:
    try:
        return not onnx.defs.get_schema(op_type, version).deprecated
    except (onnx.defs.SchemaError, UnicodeError):
        return False


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _words(error: BaseException) -> str:
    """Return a library's message on one line, without a full stop."""
    text = " ".join(str(error).replace("==> Context:", "in").split()).removesuffix(".")
    return shorten(text, LONGEST) or type(error).__name__


def _not_onnx(path: Path) -> UnreadableModel:
    return UnreadableModel(
        f"{path} is not a complete ONNX model", hint="export it again, or copy it again whole"
    )


def _invalid(path: Path, fault: str) -> UnreadableModel:
    return UnreadableModel(
        f"{path} is not a valid ONNX model: {fault}",
        hint="correct what wrote it; onnx.checker.check_model applies the same rules",
    )

"""Conversion of Keras to ONNX without a bundle: in memory, or straight to a file."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import onnx
import onnx_ir as ir

from kexport.bundle.output_folder import staging
from kexport.conversion import convert_model
from kexport.conversion.loadable import refuse_unloadable
from kexport.errors import OutputExists
from kexport.graph import save
from kexport.passes import pipeline
from kexport.source.signature import Signature, with_signature
from kexport.targets.opset import HIGHEST, check_opset


def convert(
    model: keras.Model, *, opset: int = HIGHEST, input_signature: Signature = None
) -> onnx.ModelProto:
    """Convert a Keras model to simplified ONNX, as an alternative to `model.export`.

    Inputs and outputs are those of the model, in Keras' own layout, without preprocessing. Open
    axes stay open, the batch under the name "batch". Floating-point numbers are float32, whatever
    the dtype policies of the layers.

    Args:
        model: a built Keras model.
        opset: the ONNX opset to write, 13 to 20.
        input_signature: the inputs of a subclassed model, as keras.InputSpec: a single one, a list,
            or a dict by name; by default those that it was first called on, in float32.

    Raises:
        UnsupportedModel: the model is not built, a layer has no ONNX form, or ONNX Runtime has no
            kernel for the types of a node.
        BadArgument: kexport does not write this opset.
    """
    return ir.to_proto(_graph(with_signature(model, input_signature), opset))


def save_onnx(
    model: keras.Model,
    path: str | Path,
    *,
    opset: int = HIGHEST,
    input_signature: Signature = None,
) -> tuple[Path, ...]:
    """Convert a Keras model and write it to a file, weight by weight.

    It is faster than `convert` and `onnx.save`, takes less memory, and has no size limit: weights
    of 1.8 GB and more go to `<path>.data` next to the file (protobuf is limited to 2 GiB).

    Args:
        model: a built Keras model.
        path: the file; an existing one is replaced when the new one is complete.
        opset: the ONNX opset to write, 13 to 20.

    Returns:
        The files written.

    Raises:
        UnsupportedModel, BadArgument: as `convert`.
        OutputExists: `path` is a folder.
        OutputFailed: the file cannot be written (no permission, disk full).
    """
    path = Path(path)
    if path.is_dir():
        raise OutputExists(f"{path} is a folder", hint="give the name of a file in it")
    graph = _graph(with_signature(model, input_signature), opset)
    with staging(path) as work:
        written = save.save(graph, work / path.name)
        files = tuple(path.with_name(file.name) for file in written)
        for new, file in reversed(list(zip(written, files, strict=True))):
            os.replace(new, file)
    return files


def _graph(model: keras.Model, opset: int) -> ir.Model:
    form = pipeline.GraphFormat(check_opset(opset))
    phases = (pipeline.passes_for(form, "simplify"), pipeline.passes_for(form, "lower"))
    passes = [change for phase in phases for change in phase]
    converted = pipeline.run(convert_model(model).model, passes).model
    refuse_unloadable(converted)
    return converted

"""Keras to ONNX and nothing more: in memory, or straight to a file."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import onnx
import onnx_ir as ir

from kexport.bundle.output_folder import staging
from kexport.conversion import convert_model
from kexport.errors import BadArgument, OutputExists
from kexport.graph import save
from kexport.passes import pipeline
from kexport.passes.convert_opset import HIGHEST, LOWEST


def convert(model: keras.Model, *, opset: int = HIGHEST) -> onnx.ModelProto:
    """Convert a Keras model to ONNX, simplified: what `model.export(format="onnx")` is for.

    Inputs and outputs are those of the model, in Keras' own layout; nothing is preprocessed. Open
    axes stay open, the batch under the name "batch".

    Args:
        model: a built Keras model.
        opset: the ONNX opset to write, 13 to 20.

    Raises:
        UnsupportedModel: the model is not built, or a layer has no ONNX form.
        BadArgument: an opset that kexport does not write.
    """
    return ir.to_proto(_graph(model, opset))


def save_onnx(model: keras.Model, path: str | Path, *, opset: int = HIGHEST) -> tuple[Path, ...]:
    """Write what `convert` gives to a file, weight by weight.

    Faster than `convert` and `onnx.save`, in less memory, and for models of any size: from 1.8 GB
    of weights on, these go to `<path>.data` beside the file (protobuf ends at 2 GiB).

    Args:
        model: a built Keras model.
        path: the file; what is there is replaced once the new one is whole.
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
    graph = _graph(model, opset)
    with staging(path) as work:
        written = save.save(graph, work / path.name)
        files = tuple(path.with_name(file.name) for file in written)
        for new, file in reversed(list(zip(written, files, strict=True))):
            os.replace(new, file)
    return files


def check_opset(opset: int) -> int:
    """Let an opset through that kexport writes.

    Raises:
        BadArgument: any other.
    """
    if not LOWEST <= opset <= HIGHEST:
        raise BadArgument(
            f"opset {opset} is not written by kexport",
            hint=f"choose one of {LOWEST} to {HIGHEST}",
        )
    return opset


def _graph(model: keras.Model, opset: int) -> ir.Model:
    passes = (*pipeline.with_tensor_inputs(None), *pipeline.for_float32(check_opset(opset)))
    return pipeline.run(convert_model(model).model, passes).model

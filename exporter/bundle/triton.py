"""Triton layout: a bundle as a model in a repository of Triton Inference Server.

    DIR/<model>/config.pbtxt, labels.txt, 1/model.onnx or 1/engine.plan, warmup/<input>

config.pbtxt is a ModelConfig of model_config.proto
(https://github.com/triton-inference-server/common), explained in Triton's
docs/user_guide/model_configuration.md. A TensorRT engine is built on the server, into the folder of
the version: `python build_engine.py --output DIR/<model>/1`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kexport.arrays import Array
from kexport.bundle.output_folder import failing, refuse_existing, staging
from kexport.bundle.publish import publish
from kexport.errors import BadArgument, OutputExists, OutputFailed
from kexport.runtime.engine_record import PLAN
from kexport.runtime.optimization_profile import BATCH
from kexport.targets import Target

CONFIG, LABELS, VERSION, WARM_UP = "config.pbtxt", "labels.txt", "1", "warmup"

_MODELS = ("model.onnx", "model.onnx.data")


def require_servable(target: Target) -> None:
    """Raise BadArgument for a target whose engine Triton has no backend for."""
    if target.engine == "tensorrt_rtx":
        raise BadArgument(
            "Triton has no backend for TensorRT for RTX",
            hint="leave out `layout_triton`, or choose a trt target",
        )


def require_repository(repository: Path) -> None:
    """Raise OutputFailed if the folder does not exist and cannot be created."""
    with failing(repository), contextlib.suppress(FileNotFoundError):
        (repository / CONFIG).lstat()


def refuse_model(repository: Path, name: str, output: Path) -> None:
    """Refuse a model's folder in a repository before any work is done.

    Raises:
        BadArgument: the model's folder and the bundle's, `output`, are the same or nested.
        OutputExists: the model's folder exists.
        OutputFailed: the model's folder cannot be created.
    """
    folder = repository / name
    mine, other = Path(os.path.realpath(folder)), Path(os.path.realpath(output))
    if mine.is_relative_to(other) or other.is_relative_to(mine):
        raise BadArgument(
            f"the model's folder {folder} and the bundle's folder {output} overlap",
            hint="choose an `output` and a `layout_triton` that are not inside one another",
        )
    try:
        refuse_existing(folder, force=False)
    except OutputExists as error:
        raise OutputExists(
            str(error), hint="choose another `layout_triton`, or remove it"
        ) from error


def write_layout(
    bundle: Path, manifest: Mapping[str, Any], target: Target, repository: Path
) -> Path:
    """Write a finished bundle into a model repository and return the model's folder there.

    Args:
        bundle: the folder, with its golden.npz.
        manifest: its manifest.
        target: the target that it was exported for.
        repository: Triton's model repository; it is created if it is missing.

    Raises:
        OutputExists: the model's folder exists.
        OutputFailed: the model's folder cannot be written.
    """
    folder = repository / str(manifest["model"]["name"])
    try:
        _write(bundle, manifest, target, folder)
    except (OutputExists, OutputFailed) as error:
        raise type(error)(
            str(error), hint=f"the bundle was written, to {bundle}; choose another `layout_triton`"
        ) from error
    return folder


def _write(bundle: Path, manifest: Mapping[str, Any], target: Target, folder: Path) -> None:
    warm_up = _samples(bundle, manifest["inputs"])
    with staging(folder) as work:
        (work / VERSION).mkdir()
        (work / WARM_UP).mkdir()
        if target.engine == "onnxruntime":
            for name in _MODELS:
                if (bundle / name).exists():
                    shutil.copyfile(bundle / name, work / VERSION / name)
        if (bundle / LABELS).exists():
            shutil.copyfile(bundle / LABELS, work / LABELS)
        for name, array in warm_up.items():
            (work / WARM_UP / name).write_bytes(array.tobytes())
        shapes = {name: array.shape for name, array in warm_up.items()}
        text = config(manifest, target, shapes, labels=(bundle / LABELS).exists())
        (work / CONFIG).write_text(text, encoding="utf-8")
        publish(work, folder)


def config(
    manifest: Mapping[str, Any],
    target: Target,
    warm_up: Mapping[str, Sequence[int]],
    *,
    labels: bool,
) -> str:
    """Return the content of config.pbtxt.

    Args:
        manifest: the bundle's manifest.
        target: the target that it was exported for.
        warm_up: the shape of each input's warm-up sample.
        labels: whether there is a labels.txt.
    """
    return "\n".join([*_lines(manifest, target, warm_up, labels), ""])


def _samples(bundle: Path, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Return one batch of golden samples."""
    with np.load(bundle / "golden.npz", allow_pickle=False) as golden:
        return {
            row["name"]: np.resize(
                golden[row["name"]], (row["shape"][0] or 1, *golden[row["name"]].shape[1:])
            )
            for row in inputs
        }


def _lines(
    manifest: Mapping[str, Any],
    target: Target,
    warm_up: Mapping[str, Sequence[int]],
    labels: bool,
) -> Iterator[str]:
    tensorrt = target.engine == "tensorrt"
    free = all(row["shape"][:1] == [None] for row in (*manifest["inputs"], *manifest["outputs"]))
    kind = "KIND_GPU" if tensorrt or target.device == "cuda" else "KIND_CPU"
    yield f"name: {json.dumps(manifest['model']['name'])}"
    yield f'backend: "{"tensorrt" if tensorrt else "onnxruntime"}"'
    yield f'default_model_filename: "{PLAN if tensorrt else _MODELS[0]}"'
    yield f"max_batch_size: {BATCH[-1] if free else 0}"
    for role in ("input", "output"):
        for row in manifest[f"{role}s"]:
            yield from _tensor(role, row, free, labels)
    yield f"instance_group [ {{ kind: {kind} }} ]"
    if free:
        yield "dynamic_batching { }"
    yield from _warm_up(manifest["inputs"], warm_up, free)


def _tensor(role: str, row: Mapping[str, Any], free: bool, labels: bool) -> Iterator[str]:
    dims = [-1 if size is None else size for size in row["shape"][1 if free else 0 :]]
    yield f"{role} ["
    yield "  {"
    yield f"    name: {json.dumps(row['name'])}"
    yield f"    data_type: {_type(row['dtype'])}"
    if row.get("layout") is not None and len(dims) == 3:
        yield f"    format: FORMAT_{row['layout']}"
    yield f"    dims: [ {', '.join(map(str, dims))} ]"
    if labels and row.get("kind") in ("probabilities", "logits"):
        yield f'    label_filename: "{LABELS}"'
    yield "  }"
    yield "]"


def _warm_up(
    inputs: Sequence[Mapping[str, Any]], shapes: Mapping[str, Sequence[int]], free: bool
) -> Iterator[str]:
    yield "model_warmup ["
    yield "  {"
    yield '    name: "golden"'
    yield "    batch_size: 1"
    for row in inputs:
        name = row["name"]
        yield "    inputs {"
        yield f"      key: {json.dumps(name)}"
        yield "      value {"
        yield f"        data_type: {_type(row['dtype'])}"
        yield f"        dims: [ {', '.join(map(str, shapes[name][1 if free else 0 :]))} ]"
        yield f"        input_data_file: {json.dumps(name)}"
        yield "      }"
        yield "    }"
    yield "  }"
    yield "]"


def _type(dtype: str) -> str:
    """Return Triton's name of a NumPy type."""
    floats = {"float16": "FP16", "float32": "FP32", "float64": "FP64"}
    return f"TYPE_{floats.get(dtype, dtype.upper())}"

"""Calibration cache: measured ranges in a file, for the next export of the same model."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir

from kexport.calibration.statistics.ranges import Range
from kexport.errors import BadArgument, OutputFailed

SCHEMA = 1
_HINT = "delete it, or name another file, and calibrate again"


def key_of(model: ir.Model, method: str) -> str:
    """Compute the SHA-256 of a graph with its weights and of the calibration method, in hex.

    One weight is in memory at a time.
    """
    bare = model.clone()
    weights = [value.const_value for value in bare.graph.initializers.values()]
    bare.graph.initializers.clear()
    digest = hashlib.sha256(f"{SCHEMA} {method}\n".encode())
    digest.update(ir.to_proto(bare.graph).SerializeToString(deterministic=True))
    for tensor in weights:
        if tensor is not None:
            digest.update(f"\n{tensor.name} {tensor.dtype} {tensor.shape}\n".encode())
            digest.update(tensor.tobytes())
    return digest.hexdigest()


def save_ranges(path: Path, key: str, ranges: Mapping[str, Range]) -> None:
    """Write ranges as JSON, atomically.

    Args:
        path: the file; an existing one is replaced.
        key: the result of `key_of` for the model and the method.
        ranges: the ranges by tensor name.

    Raises:
        OutputFailed: the file cannot be written.
    """
    entries = {name: [found.low, found.high] for name, found in sorted(ranges.items())}
    document = {"schema": SCHEMA, "key": key, "ranges": entries}
    work = None
    try:
        handle, work = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, allow_nan=False)
            file.write("\n")
        os.replace(work, path)
    except OSError as error:
        if work is not None:
            Path(work).unlink(missing_ok=True)
        raise OutputFailed(
            f"the calibration cache {path} cannot be written: {error.strerror}",
            hint="name a file in a folder that exists and can be written",
        ) from error


def load_ranges(path: Path, key: str) -> dict[str, Range]:
    """Read the ranges that `save_ranges` wrote.

    Raises:
        BadArgument: the file cannot be read, is not a calibration cache, or belongs to another
            model or method.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadArgument(
            f"the calibration cache {path} cannot be read: {error.strerror}",
            hint="name a file that an earlier calibration wrote",
        ) from error
    except ValueError as error:
        raise BadArgument(f"{path} is no calibration cache: {error}", hint=_HINT) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BadArgument(f"{path} is no calibration cache of this version", hint=_HINT)
    if document.get("key") != key:
        raise BadArgument(
            f"the calibration cache {path} is of another model or calibration method",
            hint=_HINT,
        )
    ranges = document.get("ranges")
    if not isinstance(ranges, dict) or not all(_is_range(entry) for entry in ranges.values()):
        raise BadArgument(f"the calibration cache {path} is damaged", hint=_HINT)
    return {name: Range(float(low), float(high)) for name, (low, high) in ranges.items()}


def _is_range(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and all(type(end) in (int, float) and math.isfinite(end) for end in entry)
        and entry[0] <= 0 <= entry[1]
    )

"""ONNX metadata: the metadata_props that viewers and other tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from kexport.runtime.manifest import input_spec
from kexport.runtime.pixel_formats import SIZE_MULTIPLES

PIXEL_FORMATS = {
    "RGB": "Rgb8",
    "BGR": "Bgr8",
    "RGBA": "Rgba8",
    "BGRA": "Bgra8",
    "GRAY": "Gray8",
}
"""Colour in the manifest -> `Image.BitmapPixelFormat`, for formats of one byte per channel."""


ULTRALYTICS_TASKS = ("classify", "detect")
"""The tasks that have the same name there (docs.ultralytics.com/tasks)."""


def with_metadata(
    model: ir.Model,
    entries: Mapping[str, Any],
    labels: Sequence[str] | None,
) -> ir.Model:
    """Return a copy of the model with metadata from the manifest's `entries`.

    `Image.*` are ONNX's own keys (onnx/docs/MetadataProps.md); `task`, `imgsz`, `batch` and `names`
    are those that Ultralytics' viewers read; `kexport` has model, target and preprocessing as JSON.
    """
    model = model.clone()
    props = model.metadata_props
    props["kexport"] = json.dumps(
        {key: entries[key] for key in ("schema", "kexport", "model", "target", "preprocessing")}
    )
    (first, *others) = entries["inputs"]
    if first["color"] is not None and not others:
        if first["dtype"] == "uint8" and first["color"] in PIXEL_FORMATS:
            props["Image.BitmapPixelFormat"] = PIXEL_FORMATS[first["color"]]
        props["Image.ColorSpaceGamma"] = "SRGB"
        limited = first["color"] in SIZE_MULTIPLES  # the YUV formats
        props["Image.NominalPixelRange"] = f"NominalRange_{'16_235' if limited else '0_255'}"
        size = entries["preprocessing"]["size"] or list(input_spec(first).size)
        if None not in size:
            props["imgsz"] = json.dumps(size)
        props["batch"] = json.dumps(first["shape"][0])
    if entries["task"]["name"] in ULTRALYTICS_TASKS:
        props["task"] = entries["task"]["name"]
    if labels is not None:
        props["names"] = json.dumps(dict(enumerate(labels)), ensure_ascii=False)
    return model

"""metadata_props of the ONNX file: what viewers and other tools look for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

PIXEL_FORMATS = {
    "RGB": "Rgb8",
    "BGR": "Bgr8",
    "RGBA": "Rgba8",
    "BGRA": "Bgra8",
    "GRAY": "Gray8",
}
"""Formats that ONNX has a word for, of one byte a channel."""


def with_metadata(
    model: ir.Model,
    entries: Mapping[str, Any],
    labels: Sequence[str] | None,
) -> ir.Model:
    """The model with the conventional keys filled in from the manifest's `entries`.

    `Image.*` are ONNX's own (onnx/docs/MetadataProps.md); `task`, `imgsz`, `batch`, `names` are the
    ones Ultralytics' viewers read; `kexport` holds model, target and preprocessing as JSON.
    """
    model = model.clone()
    props = model.metadata_props
    props["kexport"] = json.dumps(
        {key: entries[key] for key in ("schema", "kexport", "model", "target", "preprocessing")}
    )
    (first, *_) = entries["inputs"]
    if first["color"] is not None:
        if first["dtype"] == "uint8" and first["color"] in PIXEL_FORMATS:
            props["Image.BitmapPixelFormat"] = PIXEL_FORMATS[first["color"]]
        props["Image.ColorSpaceGamma"] = "SRGB"
        limited = first["color"] in ("NV12", "YUYV")
        props["Image.NominalPixelRange"] = f"NominalRange_{'16_235' if limited else '0_255'}"
        size = entries["preprocessing"]["size"] or _size(first)
        if None not in size:
            props["imgsz"] = json.dumps(size)
        props["batch"] = json.dumps(first["shape"][0])
    kinds = {output["kind"] for output in entries["outputs"]}
    if kinds & {"probabilities", "logits", "scores"}:
        props["task"] = "classify"
    if labels is not None:
        props["names"] = json.dumps(dict(enumerate(labels)), ensure_ascii=False)
    return model


def _size(picture: Mapping[str, Any]) -> list[int | None]:
    """Height and width of the images that an input takes."""
    _, *sizes = picture["shape"]
    height, width = sizes[1:] if picture["layout"] == "NCHW" else sizes[:2]
    if picture["color"] == "NV12" and height is not None:
        height = height * 2 // 3
    return [height, width]

"""metadata_props of the ONNX file: what viewers and other tools look for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

PIXEL_FORMATS = {"RGB": "Rgb8", "GRAY": "Gray8"}


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
        batch, height, width, _ = first["shape"]
        props["Image.BitmapPixelFormat"] = PIXEL_FORMATS[first["color"]]
        props["Image.ColorSpaceGamma"] = "SRGB"
        props["Image.NominalPixelRange"] = "NominalRange_0_255"
        props["imgsz"] = json.dumps([height, width])
        props["batch"] = json.dumps(batch)
    kinds = {output["kind"] for output in entries["outputs"]}
    if kinds & {"probabilities", "logits"}:
        props["task"] = "classify"
    if labels is not None:
        props["names"] = json.dumps(dict(enumerate(labels)), ensure_ascii=False)
    return model

"""Minimal bundle folders that are made without Keras."""

from __future__ import annotations

import json
from pathlib import Path


def a_bundle(folder: Path, content: str = "old") -> Path:
    """Write a manifest and the files that it lists, with `content` in place of a model."""
    (folder / "runtime").mkdir(parents=True)
    (folder / "model.onnx").write_text(content)
    (folder / "runtime" / "session.py").write_text("")
    files = {name: {"sha256": "", "bytes": 0} for name in ("model.onnx", "runtime/session.py")}
    manifest = {"schema": 1, "kexport": "0.1", "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder

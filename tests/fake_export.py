"""A stand-in for `kexport.api.export`, for tests of the command line."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kexport
from kexport.cli import latency
from kexport.stages import request
from kexport.targets import Target

MANIFEST: dict[str, Any] = {
    "schema": 1,
    "model": {"name": "vgg16", "source": "keras.applications.VGG16", "weights": "random"},
    "target": {"name": "cpu-fp32", "opset": 20, "toolchain": None},
    "findings": [],
    "quantization": None,
    "inputs": [
        {
            "name": "image",
            "dtype": "uint8",
            "shape": [None, 224, 224, 3],
            "color": "RGB",
            "resize": {"method": "pil-nearest", "fit": "stretch"},
        }
    ],
    "preprocessing": {
        "mode": "caffe",
        "folded": True,
        "layers": [],
        "resize": None,
        "crop": None,
        "size": None,
    },
    "outputs": [
        {"name": "probabilities", "dtype": "float32", "shape": [None, 9], "kind": "probabilities"}
    ],
    "task": {
        "name": "classify",
        "output": "probabilities",
        "from_logits": False,
        "reason": "the softmax of 'probabilities'",
    },
    "parity": {
        "images": 8,
        "passed": True,
        "outputs": {
            "probabilities": {"max_abs": 1e-7, "error": 2.14e-6, "tolerance": 1e-4},
            "logits": {"max_abs": 1e-5, "error": 1e-6, "tolerance": 1e-4},
        },
    },
    "files": {
        "model.onnx": {"sha256": "0", "bytes": 1_500_000},
        "model.onnx.data": {"sha256": "0", "bytes": 500_000},
        "golden.npz": {"sha256": "0", "bytes": 9_000_000},
    },
    "build": None,
    "engine_check": None,
    "float32_nodes": [],
    "largest_value": None,
}

Calls = list[dict[str, Any]]
Fake = Callable[[Callable[..., Any]], Calls]


@pytest.fixture
def fake_export(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a function in the place of kexport.api.export; return the list of its calls."""

    def install(behave: Callable[..., Any]) -> Calls:
        calls: Calls = []

        def export(model: str, target: Target, **options: Any) -> Any:
            resolved = (str(target.toolchain), target.opset, target.compute_capabilities)
            calls.append({"model": model, "target": target.name, "resolved": resolved, **options})
            return behave(model, target.name, **options)

        def accept(model: str, target: Target, **options: Any) -> None:
            """Stand in for the checks before Keras is loaded: no file need exist."""

        monkeypatch.setattr(request, "prepare", accept)
        monkeypatch.setattr(latency, "of_bundle", lambda path, target: "1.50 ms for 1 sample")
        api = SimpleNamespace(export=export)
        monkeypatch.setitem(sys.modules, "kexport.api", api)
        monkeypatch.setattr(kexport, "api", api, raising=False)
        return calls

    return install


def succeed(model: str, target: str, *, progress: Callable[[str], None], **options: Any) -> Any:
    progress("converting")
    print("Downloading data")  # noqa: T201  what Keras does
    return exported(f"{model}-{target}")


def exported(path: str, **more: Any) -> Any:
    """Return what `kexport.api.export` returns, with some fields of a bundle replaced."""
    fields = {"manifest": MANIFEST, "speed": None, "engine": None, "resize_trial": None}
    return SimpleNamespace(path=Path(path), **{**fields, **more})

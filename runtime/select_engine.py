"""Which engine runs a bundle here."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Protocol

from .engine_record import PLAN
from .errors import BadInput, EngineMissing
from .ort_engine import OrtEngine
from .trt_engine import TrtEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from .manifest import Manifest

NAMES = ("onnxruntime", "tensorrt")


class Engine(Protocol):
    """What runs the model: every input by name in, batch first, and every output by name out."""

    name: str

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model once."""


def choose(bundle: Path, manifest: Manifest, threads: int | None, wanted: str | None) -> Engine:
    """Load the engine called `wanted`: engine.plan in "tensorrt", or model.onnx in "onnxruntime".

    By default engine.plan where it lies in the bundle, and model.onnx elsewhere. Where engine.plan
    lies on a machine that has no TensorRT or no GPU, model.onnx stands for it, with a warning
    (RuntimeWarning). An engine that does not belong here is refused, not passed over.
    """
    if wanted not in (None, *NAMES):
        raise BadInput(f"no engine is called {wanted!r}", hint=f"use one of {', '.join(NAMES)}")
    if wanted == "tensorrt":
        return TrtEngine(bundle, manifest)
    if wanted is None and (bundle / PLAN).exists():
        try:
            return TrtEngine(bundle, manifest)
        except EngineMissing as fault:
            warnings.warn(
                f"{PLAN} does not run here, so model.onnx runs in ONNX Runtime: {fault}",
                RuntimeWarning,
                stacklevel=3,
            )
    return OrtEngine(bundle, manifest, threads)

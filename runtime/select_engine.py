"""Engine selection: TensorRT or ONNX Runtime, by what the bundle holds and this machine has."""

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
    """An inference engine: takes every input by name, batch first, and returns every output."""

    name: str

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model once."""


def choose(bundle: Path, manifest: Manifest, threads: int | None, wanted: str | None) -> Engine:
    """Load the engine called `wanted`: engine.plan in "tensorrt", or model.onnx in "onnxruntime".

    The default is engine.plan if the bundle has one, otherwise model.onnx. On a machine without
    TensorRT or a GPU, model.onnx replaces engine.plan, with a RuntimeWarning. An engine.plan that
    was built for another machine raises BundleRefused; it is not silently replaced.
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

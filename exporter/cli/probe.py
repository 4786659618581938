"""Probe program: load one library, and print the result as one JSON object.

`python -m kexport.cli.probe THING` serves `kexport doctor`: a library that crashes while it loads
ends only this process. THING is `keras`, `tensorrt`, `tensorrt_rtx`, `providers` (the
names that the installed ONNX Runtime offers) or the name of one of those providers.
"""

import json
import sys
from typing import Any

from kexport.errors import KexportError
from kexport.needs import need
from kexport.runtime.ort_engine import preload


def keras() -> dict[str, Any]:
    """Load Keras with its backend."""
    module = need("keras")
    return {"version": module.__version__, "backend": module.config.backend()}


def tensorrt_rtx() -> dict[str, Any]:
    """Load TensorRT-RTX' Python module."""
    return {"version": need("tensorrt_rtx", extra="rtx").__version__}


def tensorrt() -> dict[str, Any]:
    """Load TensorRT's Python module."""
    return {"version": need("tensorrt", extra="tensorrt").__version__}


def providers() -> dict[str, Any]:
    """List the execution providers that ONNX Runtime was built with."""
    module = need("onnxruntime", extra="cpu")
    return {"version": module.__version__, "providers": module.get_available_providers()}


def provider(name: str) -> dict[str, Any]:
    """Run one addition with an execution provider; `loaded` is False if ONNX Runtime fell back."""
    runtime = need("onnxruntime", extra="cpu")
    if name != "CPUExecutionProvider":
        sys.stderr.write(preload(runtime))
    session = runtime.InferenceSession(_addition(), providers=[name])
    total = session.run(None, {"x": need("numpy").ones(4, dtype="float32")})[0]
    return {"loaded": name in session.get_providers(), "correct": total.tolist() == [2.0] * 4}


def _addition() -> bytes:
    helper = need("onnx").helper
    x, y = (helper.make_tensor_value_info(name, 1, [4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "probe", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


_THINGS = {
    "keras": keras,
    "providers": providers,
    "tensorrt": tensorrt,
    "tensorrt_rtx": tensorrt_rtx,
}


def _main(thing: str) -> None:
    try:
        found = _THINGS[thing]() if thing in _THINGS else provider(thing)
    except KexportError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])

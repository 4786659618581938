"""Take a Keras model to the device it must run on, and prove that it still computes the same.

    bundle = kexport.export("inception_v3", "trt-fp16")
    session = kexport.load(bundle.path)

Importing this package is cheap: each public name loads what it needs when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexport.api import export
    from kexport.onnx_export import convert, save_onnx
    from kexport.options.application import Recipe
    from kexport.options.calibration import Calibration
    from kexport.options.image_input import ImageInput
    from kexport.options.sampling import Sampling
    from kexport.options.task import Task
    from kexport.options.toolchain import Toolchain
    from kexport.runtime import load, verify

__all__ = [
    "Calibration",
    "ImageInput",
    "Recipe",
    "Sampling",
    "Task",
    "Toolchain",
    "__version__",
    "convert",
    "export",
    "load",
    "save_onnx",
    "verify",
]

__version__ = "0.1.0"

_HOMES = {
    "Calibration": "kexport.options.calibration",
    "ImageInput": "kexport.options.image_input",
    "Sampling": "kexport.options.sampling",
    "Task": "kexport.options.task",
    "Toolchain": "kexport.options.toolchain",
    "Recipe": "kexport.options.application",
    "convert": "kexport.onnx_export",
    "export": "kexport.api",
    "load": "kexport.runtime",
    "save_onnx": "kexport.onnx_export",
    "verify": "kexport.runtime",
}


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'kexport' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

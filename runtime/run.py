"""Classify pictures with the bundle that this file lies in: `python run.py picture.jpg`.

The file stands at the root of a bundle, beside the folder `runtime/`; what it does is in
`runtime/command.py`. Needs NumPy, Pillow and onnxruntime.
"""

import sys
from importlib import import_module
from pathlib import Path

_ENGINE_MISSING = 17
_OLDEST = (3, 8)


def _main() -> int:
    if sys.version_info < _OLDEST:
        print("error: this needs Python 3.8 or newer", file=sys.stderr)
        return _ENGINE_MISSING
    bundle = Path(__file__).resolve().parent
    sys.path.insert(0, str(bundle))
    try:
        command = import_module("runtime.command")
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed", file=sys.stderr)
        print("hint: run: pip install numpy pillow onnxruntime", file=sys.stderr)
        return _ENGINE_MISSING
    status: int = command.main(bundle)
    return status


if __name__ == "__main__":
    sys.exit(_main())

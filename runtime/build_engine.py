"""Build engine.plan for the bundle that this file lies in: `python build_engine.py [--verify]`.

The file stands at the root of a bundle, beside the folder `runtime/`; what it does is in
`runtime/build_command.py`. Needs NumPy and TensorRT.
"""

import sys
from importlib import import_module
from pathlib import Path

_ENGINE_MISSING = 17


def _main() -> int:
    bundle = Path(__file__).resolve().parent
    sys.path.insert(0, str(bundle))
    try:
        command = import_module("runtime.build_command")
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed", file=sys.stderr)
        print(f"hint: run: pip install {error.name}", file=sys.stderr)
        return _ENGINE_MISSING
    status: int = command.main(bundle)
    return status


if __name__ == "__main__":
    sys.exit(_main())

"""Classify images with the bundle that this file lies in: `python run.py image.jpg`.

The file stands at the root of a bundle, beside the folder `runtime/`; what it does is in
`runtime/cli.py`. Needs NumPy, Pillow and onnxruntime.
"""

import sys

_ENGINE_MISSING = 17
_OLDEST = (3, 8)

TYPE_CHECKING = False  # so that `typing` is not imported before the path is clean
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import CodeType


def _main() -> int:
    if sys.version_info < _OLDEST:
        print("error: this needs Python 3.8 or newer", file=sys.stderr)
        return _ENGINE_MISSING
    _forget_the_folder()
    from importlib import import_module
    from pathlib import Path

    bundle = Path(__file__).resolve().parent
    _find_only_the_runtime(bundle)
    try:
        command = import_module("runtime.cli")
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed", file=sys.stderr)
        print("hint: run: pip install numpy pillow onnxruntime", file=sys.stderr)
        return _ENGINE_MISSING
    status: int = command.main(bundle)
    return status


def _forget_the_folder() -> None:
    """Take this file's folder off the path: a json.py or numpy/ in it is not to be imported.

    Until that is done, only what is built into the interpreter can be imported. Where the file was
    called through a link, that is the folder of the link, and Python's choice the folder of what it
    leads to; both go.
    """
    system = __import__("nt" if sys.platform == "win32" else "posix")

    def place(folder: str) -> object:
        try:
            status = system.stat(folder or ".")
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino

    file, here = __file__, []
    while file:
        folder = file[: max(file.rfind("/"), file.rfind("\\")) + 1]
        here.append(place(folder))
        try:
            target = system.readlink(file)
        except (OSError, ValueError):
            target = ""
        absolute = target[:1] in ("", "/", "\\") or target[1:2] == ":"
        file = target if absolute else folder + target
    path = [entry for entry in sys.path if entry not in ("", ".")]
    sys.path[:] = [entry for entry in path if place(entry) not in here]


def _find_only_the_runtime(bundle: "Path") -> None:
    """Let `runtime` be imported from the bundle, from its sources alone, and nothing else there.

    Bytecode beside them is neither read nor written: nobody vouches for it.
    """
    from importlib.machinery import SourceFileLoader
    from importlib.util import spec_from_file_location

    class Source(SourceFileLoader):
        def get_code(self, fullname: str) -> "CodeType":
            return self.source_to_code(self.get_data(self.path), self.path)

    class Sources:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
            package, _, module = name.partition(".")
            file = bundle / "runtime" / f"{module or '__init__'}.py"
            if package != "runtime" or not file.is_file():
                return None
            inside = None if module else [str(file.parent)]
            loader = Source(name, str(file))
            return spec_from_file_location(
                name, file, loader=loader, submodule_search_locations=inside
            )

    sys.meta_path.insert(0, Sources)


if __name__ == "__main__":
    sys.exit(_main())

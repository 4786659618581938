"""Bundle program: build engine.plan in this folder, `python build_engine.py [--verify]`.

The command line is in `runtime/build_cli.py`. Needs NumPy and TensorRT.
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
        print("hint: build it with: sh build_engine.sh", file=sys.stderr)
        return _ENGINE_MISSING
    _remove_own_folder_from_path()
    from importlib import import_module
    from pathlib import Path

    bundle = Path(__file__).resolve().parent
    _import_runtime_from_sources(bundle)
    try:
        command = import_module("runtime.build_cli")
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed", file=sys.stderr)
        print(f"hint: run: pip install {error.name}", file=sys.stderr)
        return _ENGINE_MISSING
    status: int = command.main(bundle)
    return status


def _remove_own_folder_from_path() -> None:
    """Remove this file's folder from sys.path, so that no json.py or numpy/ in it is imported.

    Until then, only modules that are built into the interpreter can be imported. If the file was
    started through symbolic links, Python puts the folder of the final target on the path; the
    folders of the links are removed as well.
    """
    system = __import__("nt" if sys.platform == "win32" else "posix")

    def identity(folder: str) -> object:
        try:
            status = system.stat(folder or ".")
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino

    file, own = __file__, []
    while file:
        folder = file[: max(file.rfind("/"), file.rfind("\\")) + 1]
        own.append(identity(folder))
        try:
            target = system.readlink(file)
        except (OSError, ValueError):
            target = ""
        absolute = target[:1] in ("", "/", "\\") or target[1:2] == ":"
        file = target if absolute else folder + target
    path = [entry for entry in sys.path if entry not in ("", ".")]
    sys.path[:] = [entry for entry in path if identity(entry) not in own]


def _import_runtime_from_sources(bundle: "Path") -> None:
    """Make the bundle's `runtime` package importable, from sources alone.

    Nothing else in the bundle can be imported. Bytecode is neither read nor written, because no
    hash covers it.
    """
    from importlib.machinery import SourceFileLoader
    from importlib.util import spec_from_file_location

    class SourceOnlyLoader(SourceFileLoader):
        def get_code(self, fullname: str) -> "CodeType":
            return self.source_to_code(self.get_data(self.path), self.path)

    class RuntimeFinder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
            package, _, module = name.partition(".")
            file = bundle / "runtime" / f"{module or '__init__'}.py"
            if package != "runtime" or not file.is_file():
                return None
            inside = None if module else [str(file.parent)]
            loader = SourceOnlyLoader(name, str(file))
            return spec_from_file_location(
                name, file, loader=loader, submodule_search_locations=inside
            )

    sys.meta_path.insert(0, RuntimeFinder)


if __name__ == "__main__":
    sys.exit(_main())

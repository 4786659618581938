"""The page docs/api.md: every public name with the first paragraph of its docstring.

Run `python docs/make_api.py` after changing a public name or its docstring. A test compares the
page with the code. `make docs` shows the whole docstring of each object instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import kexport
from kexport import errors, runtime, targets

PAGE = Path(__file__).with_name("api.md")

HEAD = """# Python API

`python docs/make_api.py` writes this page from the docstrings. In the repository it has the first
paragraph of each; `make docs` builds the site, which has the signatures and all arguments.

Names in `kexport` are imported when they are first used, so `import kexport` takes no time. Every
error has a `hint`, which says what to do next, and the `exit_code` that the command line ends with
([cli.md](cli.md#exit-status)).
"""

GROUPS = {
    "Export": "`import kexport`: from a model to a bundle or an ONNX file, and back into Python.",
    "Run a bundle": "`from kexport import runtime`; in a bundle, `import runtime`. It needs NumPy\n"
    "and ONNX Runtime or TensorRT, and Pillow to open images.",
    "Targets": "`from kexport import targets`: devices, toolchains and what each of them can do.",
    "Errors": "`from kexport import errors`: what `kexport` raises. The errors of a bundle's "
    "runtime are above.",
}
"""The introduction of each section."""


def page() -> str:
    """Return the page as it should be."""
    public = [name for name in kexport.__all__ if name != "__version__"]
    members = {
        "Export": _named(kexport, public),
        "Run a bundle": _named(runtime, [name for name in runtime.__all__ if name not in public]),
        "Targets": _named(targets, targets.__all__),
        "Errors": _named(errors, _errors()),
    }
    parts = [HEAD]
    for title, introduction in GROUPS.items():
        parts += [f"## {title}\n", f"{introduction}\n", *members[title]]
    return "\n".join(parts)


def _errors() -> list[str]:
    kinds = vars(errors).items()
    return [name for name, kind in kinds if isinstance(kind, type) and _is_error(kind)]


def _is_error(kind: type) -> bool:
    return issubclass(kind, errors.KexportError) and kind.__module__ == errors.__name__


def _named(module: ModuleType, names: list[str]) -> Iterator[str]:
    for name in names:
        path = f"{module.__name__}.{name}"
        yield f"### `{path}`\n\n{_summary(getattr(module, name), path)}\n<!-- ::: {path} -->\n"


def _summary(thing: object, path: str) -> str:
    """Return the first paragraph of a docstring; a type alias has none."""
    if not isinstance(thing, type) and not inspect.isfunction(inspect.unwrap(thing)):
        return f"A type: `{thing}`.".replace("typing.", "")
    said = inspect.getdoc(thing)
    assert said, f"{path} has no docstring"
    return " ".join(said.split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

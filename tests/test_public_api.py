"""What `import kexport` promises."""

import subprocess
import sys

import pytest

import kexport
from kexport import runtime, targets


def test_all_names_are_there_and_sorted() -> None:
    assert sorted(kexport.__all__) == sorted(
        [
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
    )
    assert set(kexport.__all__) <= set(dir(kexport))


@pytest.mark.parametrize("module", [runtime, targets], ids=lambda module: module.__name__)
def test_the_names_of_packages_are_there_and_sorted(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    assert list(names) == sorted(names)
    assert all(hasattr(module, name) for name in names)


FIRST = ("pass", "import kexport.api", "kexport.export", "import kexport.conversion")
FORKED = """
import os, sys
import keras
for first in {first}:
    sys.stdout.flush()
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, first
    else:
        import kexport
        exec(first)
        print(first, *(callable(getattr(kexport, name)) for name in {names}), sep=",", flush=True)
        os._exit(0)
"""


@pytest.mark.slow
def test_each_name_can_be_called_whatever_was_used_before() -> None:
    """Each in a process of its own, which has loaded Keras already: that takes longest."""
    names = [name for name in kexport.__all__ if name != "__version__"]
    command = [sys.executable, "-c", FORKED.format(first=FIRST, names=names)]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    told = [line.split(",") for line in done.stdout.splitlines()]
    assert told == [[first, *["True"] * len(names)] for first in FIRST]


def test_load_and_verify_are_those_of_the_runtime() -> None:
    assert kexport.load is runtime.load
    assert kexport.verify is runtime.verify


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'kexport' has no attribute 'compress'"):
        kexport.compress  # type: ignore[attr-defined]  # noqa: B018

"""The runtime is independent: light to import, nothing else of kexport, Python 3.8."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kexport.runtime
from kexport.runtime import errors

FOLDER = Path(kexport.runtime.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))


def test_importing_loads_only_numpy_and_the_standard_library():
    code = (
        "import sys, time; start = time.process_time(); import kexport.runtime\n"
        "print(time.process_time() - start)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    seconds, names = done.stdout.splitlines()
    foreign = {"click", "cv2", "keras", "onnx", "onnx_ir", "onnxruntime", "PIL", "rich"}
    foreign |= {"tensorflow"}
    assert foreign & set(names.split()) == set()
    assert float(seconds) < 1.0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_syntax_is_that_of_python_3_8(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    annotated = any(isinstance(node, ast.AnnAssign | ast.FunctionDef) for node in ast.walk(tree))
    future = "from __future__ import annotations" in path.read_text(encoding="utf-8")
    assert future or not annotated or path.name in ("run.py", "build_engine.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_are_relative_or_of_few_packages(path: Path):
    allowed = {*sys.stdlib_module_names, "cv2", "numpy", "PIL"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert str(node.module).partition(".")[0] in allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1


def test_public_names_are_importable_and_sorted():
    assert kexport.runtime.__all__ == sorted(kexport.runtime.__all__)
    for name in kexport.runtime.__all__:
        assert getattr(kexport.runtime, name).__doc__


def test_the_docstring_draws_the_tree_of_errors():
    drawn = {
        words[-2]: int(words[-1])
        for words in (line.split() for line in (errors.__doc__ or "").splitlines())
        if len(words) in (2, 3) and words[-1].isdigit()
    }
    classes = [errors.RuntimeFault, *errors.RuntimeFault.__subclasses__()]
    assert {cls.__name__: cls.exit_code for cls in classes} == drawn
    assert len(set(drawn.values())) == len(drawn) == 5

"""What kexport needs, as pyproject.toml says it: all that it imports, in versions that were run."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

FOLDERS = ("exporter", "runtime", "calibration", "targets")
DISTRIBUTIONS = {"PIL": "pillow", "google": "protobuf", "onnx_ir": "onnx-ir"}
"""Those whose packages have another name."""
ON_DEVICES = {"cv2", "tensorrt", "tensorrt_rtx", "onnxruntime"}
"""Packages of extras: what needs one says so where it is missing."""


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def needed(project: dict[str, Any]) -> dict[str, Requirement]:
    """Return the requirements of kexport with its extra `cpu`, by name."""
    lines = [*project["dependencies"], *project["optional-dependencies"]["cpu"]]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def imported(file: Path) -> set[str]:
    """List the top-level packages that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_every_import_is_of_a_declared_package(root: Path, project: dict[str, Any]) -> None:
    files = [file for folder in FOLDERS for file in (root / folder).rglob("*.py")]
    names = set().union(*map(imported, files)) - sys.stdlib_module_names - {"kexport", "runtime"}
    undeclared = {DISTRIBUTIONS.get(name, name) for name in names} - set(needed(project))
    assert undeclared - ON_DEVICES == set()


def test_the_oldest_versions_are_the_lower_bounds(root: Path, project: dict[str, Any]) -> None:
    lines = (root / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = {}
    for line in lines:
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            pinned[requirement.name] = str(requirement.specifier).removeprefix("==")
    bounds = {
        name: str(requirement.specifier).removeprefix(">=")
        for name, requirement in needed(project).items()
    }
    assert {name: _release(version) for name, version in pinned.items()} == {
        name: _release(version) for name, version in bounds.items()
    }


def _release(version: str) -> list[int]:
    """Return a version's numbers without trailing zeros: 2.0 is 2.0.0."""
    numbers = [int(part) for part in version.split(".")]
    while numbers[-1] == 0:
        numbers.pop()
    return numbers


def test_keras_needs_no_newer_python_than_is_promised(project: dict[str, Any]) -> None:
    assert metadata.metadata("keras")["Requires-Python"] == project["requires-python"]

"""Properties of the code as a whole: imports, packages, sizes and layers."""

import ast
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import kexport
from kexport import runtime

FOLDERS = ("exporter", "runtime", "calibration", "targets")
HEAVY = {
    "click",
    "h5py",
    "keras",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "rich",
    "tensorflow",
    "tf2onnx",
}
RUNTIME_MAY_IMPORT = {"PIL", "cv2", "numpy", "onnxruntime", "tensorrt", *sys.stdlib_module_names}
LONGEST_FILE = 400


@pytest.fixture(scope="module")
def settings(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def python_files(root: Path, *folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (root / folder).rglob("*.py"))


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running `code`."""
    report = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", report]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_every_package_is_shipped(root: Path, settings: dict[str, Any]) -> None:
    shipped = set(settings["tool"]["setuptools"]["packages"])
    mapping = settings["tool"]["setuptools"]["package-dir"]
    folder_of = {folder: name for name, folder in mapping.items()}
    found = {"kexport.data"}
    for file in python_files(root, *FOLDERS):
        top, *inner = file.relative_to(root).parts[:-1]
        found.add(".".join((folder_of[top], *inner)))
    assert shipped == found


def test_every_cpp_source_is_shipped(root: Path) -> None:
    """The installed package has the C++ sources that bundles carry, as package data."""
    here, there = root / "runtime" / "cpp", Path(runtime.__file__).parent / "cpp"
    files = [
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (here, there)
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_no_module_of_exporter_shadows_a_folder(root: Path, folder: str) -> None:
    assert not (root / "exporter" / folder).exists()
    assert not (root / "exporter" / f"{folder}.py").exists()


def test_the_version_is_that_of_the_installed_package() -> None:
    assert kexport.__version__ == metadata.version("kexport")


def test_the_runtime_loads_nothing_heavy() -> None:
    assert not loaded_by("import kexport.runtime") & HEAVY


def test_importing_kexport_loads_nothing_heavy() -> None:
    assert not loaded_by("import kexport; dir(kexport)") & (HEAVY | {"numpy"})


@pytest.mark.parametrize("command", ["--help", "models", "targets", "export"])
def test_light_commands_load_no_framework(command: str) -> None:
    words = ["--help"] if command == "--help" else [command, "--help"]
    if command in ("models", "targets"):
        words = [command]
    loaded = loaded_by(f"from kexport.cli import main; assert main({words!r}) == 0")
    assert not loaded & (HEAVY - {"click", "rich"} | {"numpy"})


@pytest.mark.parametrize(
    "name", sorted(path.name for path in Path(__file__).parents[1].glob("runtime/*.py"))
)
def test_the_runtime_stands_alone_on_python_3_8(root: Path, name: str) -> None:
    source = (root / "runtime" / name).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= 1
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").partition(".")[0] in RUNTIME_MAY_IMPORT
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= RUNTIME_MAY_IMPORT


def private_parts_of_keras(file: Path) -> list[str]:
    """List private attributes of objects other than `self`, and `keras.src` outside docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls")):
                pass
            case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                found.append(name)
            case ast.Constant(value=str(text)) if id(node) not in documentation:
                found += [text] if "keras.src" in text else []
            case ast.ImportFrom(module=str(module)) if module.startswith("keras.src"):
                found.append(module)
            case ast.Import(names=names):
                found += [each.name for each in names if each.name.startswith("keras.src")]
            case ast.Call(func=ast.Name("getattr"), args=[_, ast.Constant(str(name)), *_]):
                found += [name] if name.startswith("_") and not name.startswith("__") else []
    return found


def test_only_keras_graph_touches_private_parts_of_keras(root: Path) -> None:
    inside = root / "exporter" / "keras_graph"
    found = {
        file.relative_to(root).as_posix(): private_parts_of_keras(file)
        for file in python_files(root, *FOLDERS)
        if not file.is_relative_to(inside)
    }
    assert {file: parts for file, parts in found.items() if parts} == {}
    expected = {"keras.src.models.functional", "_nodes_by_depth", "_keras_history"}
    assert expected <= set(private_parts_of_keras(inside / "walk.py"))


def test_no_file_is_long(root: Path) -> None:
    files = python_files(root, *FOLDERS, "tests", "bench", "examples")
    for folder in ("runtime", "tests", "examples"):
        files += sorted((root / folder).rglob("*.[ch]pp"))
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_the_contracts_name_every_module_below_the_command_line(settings: dict[str, Any]) -> None:
    layers, *_, terminal = settings["tool"]["importlinter"]["contracts"]
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    below = {f"kexport.{name}" for name in named - {"__main__", "cli"}}
    assert below == set(terminal["source_modules"])


def test_contributing_draws_the_layers(root: Path, settings: dict[str, Any]) -> None:
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = "".join(line for line in text.splitlines() if line.startswith("    ") and "|" in line)
    assert [layer.strip() for layer in drawn.split("->")] == layers[1:]

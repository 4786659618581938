"""Messages of the library name Python's arguments; the command line prints its options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_export import Fake

from kexport import errors
from kexport.cli import main
from kexport.cli.arguments import as_options, options_by_argument
from kexport.cli.group import program

OPTIONS = options_by_argument(program)
PYTHON_ONLY = {"input_signature"}
"""Arguments that no command can be given: models in files have their inputs."""
LIBRARY = ("calibration", "exporter", "targets")

OF_OTHER_PROGRAMS = frozenset(
    {
        "exporter/bundle/build_process.py",
        "exporter/bundle/local_engine.py",
        "exporter/bundle/rtx_builder.py",
        "exporter/bundle/trtexec.py",
        "exporter/lint/dla.py",
        "exporter/lint/rules.py",
    }
)
"""Modules that write the command lines of build_engine.py and trtexec."""


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("allow more with `calibration.max_drop`", "allow more with --max-drop"),
        ("try `recipe.weights='random'`", "try --weights random"),
        ("give `recipe.weights='my weights.h5'`", "give --weights 'my weights.h5'"),
        ("give `recipe.weights=PATH`", "give --weights PATH"),
        ("give `recipe.input_shape=(H, W, C)`", "give --input-shape H,W,C"),
        ("give `recipe.input_shape=(224, 224, 3)`", "give --input-shape 224,224,3"),
        ("choose `toolchain.opset=18` or higher", "choose --opset 18 or higher"),
        ("add `recipe.include_top=False`", "add --no-top"),
        ("add `recipe.trust=True`", "add --trust"),
        ("`output` or `force=True`", "--output or --force"),
        ("leave out `dla`", "leave out --dla"),
        ("the layer `conv.kernel` is `odd`", "the layer `conv.kernel` is `odd`"),
        ("no `end", "no `end"),
    ],
)
def test_an_argument_becomes_its_option(text: str, printed: str) -> None:
    assert as_options(text, OPTIONS) == printed


def test_python_reads_the_argument_and_the_command_line_the_option(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    error = errors.BadArgument(
        "`calibration.max_drop` must be between 0 and 1", hint="try `recipe.weights='random'`"
    )
    assert str(error) == "`calibration.max_drop` must be between 0 and 1"
    assert error.hint == "try `recipe.weights='random'`"

    def fail(*args: object, **options: object) -> None:
        raise error

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 2
    assert capsys.readouterr().err == (
        "error: --max-drop must be between 0 and 1\nhint: try --weights random\n"
    )


def texts(path: Path) -> Iterator[str]:
    """Yield the string literals of a module that are no docstrings, those of an f-string as one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            parts = [
                str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values
            ]
            yield "".join(parts)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in skipped
        ):
            yield node.value


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in LIBRARY:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith("exporter/cli/"):
                yield name, path


def test_the_library_names_no_option(root: Path) -> None:
    names = {name for option in OPTIONS.values() for name in option.opts if len(name) > 2}
    found = [
        f"{name}: {text}"
        for name, path in modules(root)
        if name not in OF_OTHER_PROGRAMS
        for text in texts(path)
        if names & set(re.findall(r"--[a-z][a-z-]*", text))
    ]
    assert found == []


def test_each_argument_that_the_library_names_has_an_option(root: Path) -> None:
    named = [
        argument
        for _, path in modules(root)
        for text in texts(path)
        for argument in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)(?:=[^`]*)?`", text)
    ]
    assert {"calibration.max_drop", "recipe.weights", "output", "toolchain.jetpack"} <= {*named}
    assert {*named} - {*OPTIONS} == PYTHON_ONLY

"""Links, named paths and fenced blocks of the documents, and how the tests run the blocks."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|run as|file): (?P<said>[^>]+(?:=>[^>]+)*) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_FOLDERS = ("bench", "calibration", "docs", "examples", "exporter", "runtime", "targets", "tests")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block: `sh` has commands, `console` commands after `$ ` and their output.

    `<!-- not run: why -->` above a block leaves it out. `<!-- run as: a => b; c => d -->` runs it
    with b for a and d for c: a smaller image, or random weights in the place of a download.
    `<!-- file: name -->` writes the block to that file of the current folder.
    """

    language: str
    body: str
    runs: bool
    changes: tuple[tuple[str, str], ...] = ()
    file: str | None = None

    @property
    def code(self) -> str:
        """The body as the tests run it."""
        code = self.body
        for old, new in self.changes:
            assert old in code, f"{old!r} is not in\n{code}"
            code = code.replace(old, new)
        return code

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Each command with the output that the document shows for it."""
        if self.language == "sh":
            lines = self.code.replace("\\\n", " ").splitlines()
            return [(line, "") for line in lines if line.strip()]
        steps: list[tuple[str, str]] = []
        for part in re.split(r"^\$ ", self.code, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append((command, output))
        return steps


def links(text: str) -> list[tuple[str, str]]:
    """Return the path and the anchor of each link within the repository; either may be empty."""
    return [(found[1], found[2] or "") for found in _LINK.finditer(text)]


def anchors(text: str) -> set[str]:
    """Return the anchors of all headings, as forges and the site derive them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.strip().replace(" ", "-") for heading in plain}


def repository_paths(text: str) -> list[str]:
    """Return the paths of the repository that stand in backticks, with `*` for <placeholders>."""
    words = [word.strip(".,:;()'\"") for code in _CODE.findall(text) for word in code.split()]
    paths = [word for word in words if word.partition("/")[0] in _FOLDERS and "/" in word]
    return [re.sub(r"<\w+>", "*", path) for path in paths if "__pycache__" not in path]


def blocks(text: str) -> list[Block]:
    return [_block(found) for found in _BLOCK.finditer(text)]


def _block(found: re.Match[str]) -> Block:
    changes: tuple[tuple[str, str], ...] = ()
    if found["mark"] == "run as":
        pairs = (pair.split("=>") for pair in found["said"].split(";"))
        changes = tuple((old.strip(), new.strip()) for old, new in pairs)
    file = found["said"].strip() if found["mark"] == "file" else None
    return Block(found["language"], found["body"], found["mark"] != "not run", changes, file)


def comparable(output: str) -> list[str]:
    """Return the lines of an output with all numbers equal: errors and sizes differ by machine."""
    return [_NUMBER.sub("0", " ".join(line.split())) for line in output.splitlines()]


def run_apart(block: Block, folder: Path) -> None:
    """Run a block as a user does: every command and every snippet is a process of its own."""
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
    commands = [(shlex.split(command), output) for command, output in block.steps]
    if block.language == "python":
        commands = [([sys.executable, "-c", block.code], "")]
    for command, shown in commands:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if shown:
            assert comparable(done.stdout) == comparable(shown), done.stdout


def run_here(block: Block, variables: dict[str, Any]) -> None:
    """Run a block in this process and folder, which saves loading Keras for each.

    Python snippets share `variables`, as the cells of a notebook do; commands are kexport's own.
    """
    if block.file is not None:
        Path(block.file).write_text(block.code, encoding="utf-8")
        return
    if block.language == "python":
        exec(compile(block.code, "<document>", "exec"), variables)
        return
    from kexport.cli import main

    for command, shown in block.steps:
        program, *words = shlex.split(command)
        assert program == "kexport", command
        with contextlib.redirect_stdout(io.StringIO()) as out, _environment({"COLUMNS": "100"}):
            status = main(words)
        assert status == 0, command
        if shown:
            assert comparable(out.getvalue()) == comparable(shown), out.getvalue()


@contextlib.contextmanager
def _environment(said: Mapping[str, str]) -> Any:
    before = dict(os.environ)
    os.environ.update(said)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

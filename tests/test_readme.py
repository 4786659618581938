"""The README is executed: its commands run, and its output and its links are right."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
_BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+-->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block: `sh` has commands, `console` commands after `$ ` and their output."""

    language: str
    body: str
    runs: bool

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Each command with the output that the document shows for it."""
        if self.language == "sh":
            return [(line, "") for line in self.body.splitlines() if line.strip()]
        steps: list[tuple[str, str]] = []
        for part in re.split(r"^\$ ", self.body, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append((command, output))
        return steps


def blocks(text: str) -> list[Block]:
    return [
        Block(found["language"], found["body"], runs=found["skip"] is None)
        for found in _BLOCK.finditer(text)
    ]


def comparable(output: str) -> list[str]:
    """The lines of an output, with every number the same: errors and sizes differ by machine."""
    return [_NUMBER.sub("0", " ".join(line.split())) for line in output.splitlines()]


@pytest.fixture(scope="module")
def readme(root: Path) -> list[Block]:
    return blocks((root / "README.md").read_text(encoding="utf-8"))


def test_blocks_are_found_and_marked() -> None:
    text = "a\n```sh\nkexport x\n```\n<!-- not run: why -->\n```console\n$ a b\n1 c\n$ d\n```\n"
    shell, console = blocks(text)
    assert (shell.runs, shell.steps) == (True, [("kexport x", "")])
    assert (console.runs, console.steps) == (False, [("a b", "1 c\n"), ("d", "")])
    assert comparable("error  2.1e-06 of 1\n") == ["error 0 of 0"]


def test_the_languages_are_known(readme: list[Block]) -> None:
    assert {block.language for block in readme} <= {"console", "cpp", "python", "sh"}
    assert sum(block.runs for block in readme if block.language != "cpp") >= 4


@pytest.mark.slow
def test_everything_in_the_readme_runs(root: Path, readme: list[Block], tmp_path: Path) -> None:
    """From top to bottom in one folder, which has the examples and a picture.jpg."""
    from PIL import Image

    from kexport.pictures import pictures

    shutil.copytree(root / "examples", tmp_path / "examples")
    Image.fromarray(pictures(1, 240, 320)[0]).save(tmp_path / "picture.jpg")
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
    for block in readme:
        if not block.runs or block.language == "cpp":
            continue
        steps = block.steps
        commands = [(shlex.split(command), output) for command, output in steps]
        if block.language == "python":
            commands = [([sys.executable, "-c", block.body], "")]
        for command, shown in commands:
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            if shown:
                assert comparable(done.stdout) == comparable(shown), done.stdout


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str, root: Path) -> None:
    text = (root / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https://|#)([^)#]+)", text)
    assert [link for link in links if not (root / link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_plain_text_without_pictograms(name: str, root: Path) -> None:
    text = (root / name).read_text(encoding="utf-8")
    assert [character for character in text if ord(character) > 0x24F] == []

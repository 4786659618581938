"""Files, folders, patterns and standard input as sources of images."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kexport.cli import main as kexport_main
from kexport.runtime.cli import main as run_py
from kexport.runtime.errors import BadImage
from kexport.runtime.sources import image_files


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Make a folder of four images, with other things in it."""
    folder = tmp_path / "shots"
    (folder / "deeper.png").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "c.bmp", "[1].png"):
        Image.new("RGB", (40, 30), (20, 200, 40)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def names(words: list[str], lines: str = "") -> list[str]:
    found = list(image_files(words, io.StringIO(lines)))
    return [one if isinstance(one, BadImage) else Path(one).name for one in found]


def test_a_folder_gives_its_images_by_name(shots: Path) -> None:
    assert names([str(shots)]) == ["[1].png", "a.png", "b.JPG", "c.bmp"]


def test_a_pattern_that_the_shell_did_not_expand(shots: Path) -> None:
    assert names([f"{shots}/?.*"]) == ["a.png", "b.JPG", "c.bmp"]
    assert names([f"{shots}/[1].png"]) == ["[1].png"]


def test_a_list_on_standard_input(shots: Path) -> None:
    lines = f"{shots / 'c.bmp'}\r\n\n{shots / 'a.png'}"
    assert names(["x.png", "-", "y.png"], lines) == ["x.png", "c.bmp", "a.png", "y.png"]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder, pattern = image_files([str(tmp_path / "empty"), f"{tmp_path}/*.png"], ())
    assert str(folder) == f"{tmp_path}/empty holds no image files"
    assert str(pattern) == f"no file matches {tmp_path}/*.png"


@pytest.mark.parametrize("program", ["run.py", "kexport run"])
def test_a_line_of_json_for_each_image(
    bundle: Path, shots: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, program: str
) -> None:
    (shots / "b.JPG").write_bytes(b"damaged")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{shots}/c.bmp\n"))
    words = [str(shots), "-", "-k", "1", "--jsonl"]
    whole = program == "kexport run"
    assert (kexport_main(["run", str(bundle), *words]) if whole else run_py(bundle, words)) == 15
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [Path(line["picture"]).name for line in lines] == [
        *("[1].png", "a.png", "b.JPG", "c.bmp", "c.bmp"),
    ]
    assert [line.get("predictions", [{}])[0].get("label") for line in lines] == [
        *("grass", "grass", None, "grass", "grass"),
    ]
    assert err.count("error: ") == 1


def test_lines_are_printed_as_images_come(build: Any, shots: Path) -> None:
    """A program that writes one name and waits for its answer gets it."""
    bundle = build(program=True)
    command = [sys.executable, str(bundle / "run.py"), "-", "--jsonl"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a.png", "c.bmp"):
            print(shots / name, file=process.stdin, flush=True)
            assert json.loads(process.stdout.readline())["picture"] == str(shots / name)
        process.stdin.close()
        assert process.wait(timeout=60) == 0

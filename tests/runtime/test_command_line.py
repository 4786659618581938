"""`kexport run` and `verify` on an untrusted bundle: its text cannot control the terminal."""

import json
from pathlib import Path

import pytest
from PIL import Image

from kexport.cli import main

HOSTILE = "\x1b[2J\x9b31m\u202e[red]x[/red]:warning:"
SHOWN = r"\x1b[2J\x9b31m\u202e[red]x[/red]:warning:"


@pytest.fixture
def image_file(tmp_path: Path) -> str:
    path = tmp_path / "a\x1b]0;x\x07\nb.png"
    Image.new("RGB", (40, 30), (20, 200, 40)).save(path)
    return str(path)


def test_labels_and_names_of_images(build, image_file: str, capsys):
    bundle = build(labels=["coal", "tomato", HOSTILE, "sea", "snow"])
    assert main(["run", str(bundle), image_file, "-k", "1"]) == 0
    out = capsys.readouterr().out.replace("\n", "")
    assert SHOWN in out
    assert r"\x1b]0;x\x07\x0ab.png" in out
    assert out.isprintable()


def test_json_escapes_control_characters(build, image_file: str, capsys):
    bundle = build(labels=["coal", "tomato", HOSTILE, "sea", "snow"])
    assert main(["run", str(bundle), image_file, "-k", "1", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out)["pictures"][0]["predictions"][0]["label"] == HOSTILE


def test_names_in_the_manifest(bundle: Path, rewrite, capsys):
    rewrite(bundle, lambda data: data["model"].update(name=HOSTILE))
    assert main(["verify", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert f"{SHOWN} for cpu-fp32" in out
    assert out.replace("\n", "").isprintable()


def test_errors(bundle: Path, capsys):
    (bundle / HOSTILE.replace("/", "")).write_bytes(b"")
    assert main(["verify", str(bundle)]) == 14
    first, hint = capsys.readouterr().err.splitlines()
    assert first == f"error: {SHOWN.replace('/', '')} is in the bundle, but not in manifest.json"
    assert hint.startswith("hint: remove it, or copy the bundle again whole")

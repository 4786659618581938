"""docs/cli.md is generated from the commands, and the config file on it is valid."""

import re
from pathlib import Path

import pytest
from documents import blocks
from fake_export import Fake, succeed
from support import module_at

from kexport.cli import main
from kexport.cli.group import program


def test_the_page_matches_the_commands(root: Path) -> None:
    make_cli = module_at(root / "docs/make_cli.py")
    written = (root / "docs/cli.md").read_text(encoding="utf-8")
    assert written == make_cli.page(), "run: python docs/make_cli.py"


def test_the_config_file_on_the_page_sets_what_it_says(
    root: Path, fake_export: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(root / "examples")
    monkeypatch.chdir(tmp_path)
    page = blocks((root / "docs/cli.md").read_text(encoding="utf-8"))
    (file,) = [block for block in page if block.file is not None]
    assert file.file == "kexport.toml"
    Path(file.file).write_text(file.body, encoding="utf-8")
    calls = fake_export(succeed)
    assert main(["export", "-q"]) == 0
    (call,) = calls
    assert (call["model"], call["target"]) == ("examples/digits/digits.keras", "trt-fp16")
    assert (call["recipe"].preprocess, call["image_input"].resize) == ("tf", "bilinear")
    assert (call["labels"], call["top_k"]) == ("examples/digits/labels.txt", 3)
    assert (call["output"], call["force"]) == ("digits", True)


def test_the_page_lists_each_option_of_export_once(root: Path) -> None:
    page = (root / "docs/cli.md").read_text(encoding="utf-8")
    (export,) = re.findall(r"### kexport export\n(.*?)\n### ", page, re.DOTALL)
    names = re.findall(r"^\| `(?:-\w, )?(--[a-z0-9-]+)", export, re.MULTILINE)
    options = [option for option in program.commands["export"].params if option.opts[0] != "model"]
    assert sorted(names) == sorted([*(max(each.opts, key=len) for each in options), "--help"])

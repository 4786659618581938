"""The README is executed: its commands run and print what it shows."""

import shutil
from pathlib import Path

import pytest
from cpp_verifiers import Verify
from documents import Block, blocks, comparable, run_apart


@pytest.fixture(scope="module")
def readme(root: Path) -> list[Block]:
    return blocks((root / "README.md").read_text(encoding="utf-8"))


def test_blocks_are_found_and_marked() -> None:
    text = "a\n```sh\nkexport x\n```\n<!-- not run: why -->\n```console\n$ a b\n1 c\n$ d\n```\n"
    shell, console = blocks(text)
    assert (shell.runs, shell.steps) == (True, [("kexport x", "")])
    assert (console.runs, console.steps) == (False, [("a b", "1 c\n"), ("d", "")])
    assert comparable("error  2.1e-06 of 1\n") == ["error 0 of 0"]


def test_a_block_can_run_as_something_smaller() -> None:
    mark = "<!-- run as: vgg16 => vgg16 --weights random; b => c -->"
    text = f"{mark}\n```sh\nkexport vgg16 \\\n b\n```\n"
    (block,) = blocks(text)
    assert block.steps == [("kexport vgg16 --weights random   c", "")]
    with pytest.raises(AssertionError, match="'b' is not in"):
        _ = blocks(text.replace("\n b", ""))[0].code


def test_the_languages_are_known(readme: list[Block]) -> None:
    assert {block.language for block in readme} <= {"console", "mermaid", "python", "sh"}
    assert sum(block.runs and block.language != "mermaid" for block in readme) >= 4


@pytest.mark.slow
def test_everything_in_the_readme_runs(
    root: Path, readme: list[Block], tmp_path: Path, verify_in_cpp: Verify
) -> None:
    """From top to bottom in one folder, which has the examples and an image.jpg."""
    from PIL import Image

    from kexport.source.synthetic_images import draw_images

    shutil.copytree(root / "examples", tmp_path / "examples")
    Image.fromarray(draw_images(1, 240, 320)[0]).save(tmp_path / "image.jpg")
    for block in readme:
        if block.runs and block.language != "mermaid":
            run_apart(block, tmp_path)
    for manifest in tmp_path.rglob("manifest.json"):
        verify_in_cpp(manifest.parent)

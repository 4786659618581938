"""The pages in docs/ are executed: what they show works, and every bundle on them verifies."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from cpp_verifiers import Verify
from documents import blocks, run_here

from kexport import runtime

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
GENERATED = {"layers.md", "zoo.md"}


@pytest.fixture
def keras_as_it_was() -> Iterator[None]:
    """Undo what a page sets for all of Keras."""
    data_format, policy = keras.config.image_data_format(), keras.config.dtype_policy()
    yield
    keras.config.set_image_data_format(data_format)
    keras.config.set_dtype_policy(policy)


@pytest.mark.slow
@pytest.mark.usefixtures("keras_as_it_was")
@pytest.mark.parametrize("page", [name for name in PAGES if name not in GENERATED])
def test_everything_on_a_page_runs(
    page: str, verify_in_cpp: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom in one folder with the examples, an image.jpg, and digits in photos/."""
    from PIL import Image
    from support import digits_module

    from kexport.source.synthetic_images import pictures

    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    Image.fromarray(pictures(1, 240, 320)[0]).save(tmp_path / "image.jpg")
    (tmp_path / "photos").mkdir()
    for number, digit in enumerate(digits_module(ROOT).split()[0].pictures[:60]):
        Image.fromarray(digit).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    variables: dict[str, Any] = {"__name__": "document"}
    for block in blocks((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if block.runs and block.language in ("sh", "console", "python"):
            run_here(block, variables)
    for manifest in tmp_path.rglob("manifest.json"):
        assert runtime.verify(manifest.parent).passed, manifest.parent.name
        verify_in_cpp(manifest.parent)


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https://|#)([^)#]+)", text)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


@pytest.mark.parametrize("page", [name for name in PAGES if name not in GENERATED])
def test_pages_are_plain_text_without_pictograms(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [character for character in text if ord(character) > 0x24F] == []

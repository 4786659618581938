"""Pages are executed: what they show works, and every link and path leads somewhere."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from cpp_verifiers import Verify
from documents import anchors, blocks, links, repository_paths, run_here
from support import module_at

from kexport import runtime

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
EXAMPLES = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*/README.md")
)
BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "runtime/cpp/README.md", *EXAMPLES)
WITHOUT_COMMANDS = {
    f"docs/{name}.md" for name in ("api", "check", "engines", "keras-tests", "layers", "ops", "zoo")
}
"""Generated pages that show no command."""
LONG = {"docs/applications.md", "docs/examples.md"}
"""Pages that export whole Applications, or train every example."""


@pytest.fixture
def keras_as_it_was() -> Iterator[None]:
    """Undo what a page sets for all of Keras."""
    data_format, policy = keras.config.image_data_format(), keras.config.dtype_policy()
    yield
    keras.config.set_image_data_format(data_format)
    keras.config.set_dtype_policy(policy)


@pytest.mark.slow
@pytest.mark.usefixtures("keras_as_it_was")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.zoo if page in LONG else ())
        for page in sorted(set(PAGES) - WITHOUT_COMMANDS)
    ],
)
def test_everything_on_a_page_runs(
    page: str, verify_in_cpp: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom in one folder with the examples, an image.jpg, and digits in photos/."""
    from PIL import Image
    from support import digits_module

    from kexport.source.synthetic_images import draw_images

    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    Image.fromarray(draw_images(1, 240, 320)[0]).save(tmp_path / "image.jpg")
    (tmp_path / "photos").mkdir()
    for number, digit in enumerate(digits_module(ROOT).split()[0].images[:60]):
        Image.fromarray(digit).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    variables: dict[str, Any] = {"__name__": "document"}
    for block in blocks(text_of(page)):
        if block.file or (block.runs and block.language in ("sh", "console", "python")):
            run_here(block, variables)
    for manifest in tmp_path.rglob("manifest.json"):
        assert runtime.verify(manifest.parent).passed, manifest.parent.name
        verify_in_cpp(manifest.parent)


@pytest.mark.parametrize("page", [*BESIDE, *PAGES])
def test_links_lead_to_files_and_headings(page: str) -> None:
    broken = []
    for path, anchor in links(text_of(page)):
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(f"{path}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", [*BESIDE, *PAGES])
def test_named_paths_exist(page: str) -> None:
    missing = [path for path in repository_paths(text_of(page)) if not any(ROOT.glob(path))]
    assert missing == []


@pytest.mark.parametrize("page", [*BESIDE, *PAGES])
def test_pages_are_plain_text_without_pictograms(page: str) -> None:
    assert [character for character in text_of(page) if ord(character) > 0x24F] == []


@pytest.mark.parametrize("page", [*BESIDE, *PAGES])
def test_paragraphs_written_by_hand_are_wrapped(page: str) -> None:
    """Tables and code cannot be wrapped, and comments hold instructions for these tests."""
    text = text_of(page)
    if "writes this page" in text:
        pytest.skip("a script writes this page")
    by_hand = re.sub(r"<!-- (\S+) -->.*?<!-- end of \1 -->", "", text, flags=re.DOTALL)
    long = [line for line in by_hand.splitlines() if len(line) > 140]
    assert [line for line in long if not line.startswith(("|", "    ", "<!--"))] == []


def test_the_api_page_is_written_from_the_docstrings() -> None:
    assert text_of("docs/api.md") == make_api().page(), "run python docs/make_api.py"


def test_the_reader_of_pages_finds_links_anchors_and_paths() -> None:
    text = (
        "## `A b`: c, d\n[x](y/z.md#w) [o](#p) [h](https://q.r) `docs/<name>.md` `runtime/a, b`\n"
    )
    assert links(text) == [("y/z.md", "w"), ("", "p")]
    assert anchors(text) == {"a-b-c-d"}
    assert repository_paths(text) == ["docs/*.md", "runtime/a"]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def make_api() -> Any:
    """Return docs/make_api.py as a module."""
    return module_at(ROOT / "docs" / "make_api.py")

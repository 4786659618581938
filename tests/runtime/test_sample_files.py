"""Samples of several inputs in files: matched by name, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kexport.runtime.errors import BadImage, BadInput
from kexport.runtime.manifest import InputSpec
from kexport.runtime.sample_files import SampleFiles, assigned, below, matched, value_of

NAMES = ["left", "right", "numbers"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of two samples, with other things in it."""
    for file in (
        *("left/a.jpg", "left/sub/b.PNG", "left/notes.txt", "left/.hidden.jpg"),
        *("right/a.png", "right/sub/b.png", "numbers/a.npy", "numbers/sub/b.npy", "numbers/a.png"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


def test_files_of_one_name_are_one_sample(folder: Path) -> None:
    paths = below(str(folder), NAMES)
    assert matched(paths, ["left", "right"]) == [
        SampleFiles(
            "a",
            {
                "left": f"{folder}/left/a.jpg",
                "right": f"{folder}/right/a.png",
                "numbers": f"{folder}/numbers/a.npy",
            },
        ),
        SampleFiles(
            "sub/b",
            {
                "left": f"{folder}/left/sub/b.PNG",
                "right": f"{folder}/right/sub/b.png",
                "numbers": f"{folder}/numbers/sub/b.npy",
            },
        ),
    ]


def test_a_file_beside_folders_is_part_of_every_sample(folder: Path) -> None:
    paths = assigned(["numbers=1,2", f"right={folder}/right/a.png", f"left={folder}/left"], NAMES)
    found = matched(paths, ["left", "right"])
    assert list(found[0].files) == NAMES
    assert [one.name for one in found] == ["a", "sub/b"]
    assert {one.files["right"] for one in found} == {f"{folder}/right/a.png"}
    assert {one.files["numbers"] for one in found} == {"1,2"}


def test_files_alone_are_one_sample() -> None:
    paths = {"numbers": "1,2", "left": "x/a.jpg"}
    assert matched(paths, ["left"]) == [SampleFiles("x/a.jpg", paths)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["left"], "'left' is not of the form NAME=PATH"),
        (["left="], "'left=' is not of the form NAME=PATH"),
        (["lift=a"], "no input named 'lift'"),
        (["left=a", "left=b"], "input 'left' is given twice"),
        (["left=a", "right=b"], "input 'numbers' is missing"),
    ],
)
def test_words_that_do_not_name_every_input_once(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        assigned(words, NAMES)
    assert caught.value.hint


def test_what_does_not_match_is_named(folder: Path) -> None:
    (folder / "right/sub/b.png").unlink()
    with pytest.raises(BadInput, match=r"left/sub/b.PNG has no counterpart in .*right"):
        matched(below(str(folder), NAMES), ["left", "right"])
    (folder / "left/a.png").touch()
    with pytest.raises(BadInput, match=r"left/a.jpg and .*left/a.png have one name"):
        matched(below(str(folder), NAMES), ["left", "right"])
    with pytest.raises(BadInput, match="has no subfolder 'depth'"):
        below(str(folder), ["left", "depth"])
    (folder / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty holds no files that end in \.npy"):
        matched({"numbers": f"{folder}/empty"}, [])


SPEC = InputSpec("numbers", "int32", (1, 2, 2), None, None, None)


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2)])
def test_numbers_of_a_file(tmp_path: Path, shape: Any) -> None:
    np.save(tmp_path / "a.npy", np.arange(4, dtype=np.int32).reshape(shape))
    found = value_of(str(tmp_path / "a.npy"), SPEC)
    np.testing.assert_array_equal(found, [[0, 1], [2, 3]])


def test_numbers_on_the_command_line() -> None:
    found = value_of("1,2,3, 4", SPEC)
    np.testing.assert_array_equal(found, [[1, 2], [3, 4]])
    open_axis = InputSpec("tokens", "int32", (1, None), None, None, None)
    np.testing.assert_array_equal(value_of("5,3,8", open_axis), [5, 3, 8])
    assert not isinstance(found, str)
    assert found.dtype == np.int32


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "", "1,2,3,4.5", "1,2,3,1e12", "1,2,3,inf"])
def test_numbers_that_do_not_fit(text: str) -> None:
    with pytest.raises(BadInput, match=r"input 'numbers' takes int32 \[1, 2, 2\], and got"):
        value_of(text, SPEC)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"text"])
def test_a_damaged_file_of_numbers(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=r"a\.npy cannot be read"):
        value_of(str(path), SPEC)

"""Publishing a folder whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kexport.emit.folder import publish, refuse_existing, staging
from kexport.errors import OutputExists, OutputFailed


def test_what_is_published_is_there_and_nothing_else(tmp_path: Path) -> None:
    output = tmp_path / "a" / "bundle"
    with staging(output) as work:
        (work / "file").write_text("new")
        assert not output.exists()
        publish(work, output)
    assert (output / "file").read_text() == "new"
    assert list(output.parent.iterdir()) == [output]


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    with staging(tmp_path / "bundle") as work:
        (work / "file").write_text("new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")]
)
def test_a_failure_while_writing(error: OSError, tmp_path: Path) -> None:
    reason = str(error.strerror).lower()
    with pytest.raises(OutputFailed, match=reason) as caught, staging(tmp_path / "b"):
        raise error
    assert caught.value.hint == "make room, or choose another place; nothing was changed"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_anything_else_passes_and_leaves_nothing(
    error: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(error), staging(tmp_path / "b"):
        raise error
    assert not list(tmp_path.iterdir())


def bundle(folder: Path, content: str = "old") -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(content)
    return folder


def replace(output: Path) -> None:
    with staging(output) as work:
        (work / "manifest.json").write_text("new")
        publish(work, output)


def test_publishing_replaces_what_was_there(tmp_path: Path) -> None:
    output = bundle(tmp_path / "b")
    with staging(output) as work:
        (work / "manifest.json").write_text("new")
        assert (output / "manifest.json").read_text() == "old"
        publish(work, output)
    assert (output / "manifest.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [output]


def test_a_failed_move_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = bundle(tmp_path / "b")
    move, moves = os.replace, []

    def failing(source: Path, target: Path) -> None:
        moves.append(source)
        if len(moves) == 2:
            raise OSError(5, "Input/output error")
        move(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OutputFailed, match="input/output error"):
        replace(output)
    assert (output / "manifest.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_permissions_are_those_of_an_ordinary_folder(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with staging(tmp_path / "b") as work:
            publish(work, tmp_path / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755


def test_what_may_be_replaced(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "free", force=False)
    old = bundle(tmp_path / "old")
    with pytest.raises(OutputExists, match="is there already"):
        refuse_existing(old, force=False)
    refuse_existing(old, force=True)
    (tmp_path / "empty").mkdir()
    refuse_existing(tmp_path / "empty", force=True)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_no_bundle_is_never_replaced(kind: str, tmp_path: Path) -> None:
    output = tmp_path / "precious"
    if kind == "folder":
        output.mkdir()
        (output / "thesis.txt").write_text("mine")
    elif kind == "file":
        output.write_text("mine")
    else:
        output.symlink_to(tmp_path / "nowhere")
    for force in (False, True):
        with pytest.raises(OutputExists):
            refuse_existing(output, force=force)

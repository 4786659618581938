"""Output folders are published completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bundles import a_bundle

from kexport.bundle.output_folder import refuse_existing, staging
from kexport.bundle.publish import publish
from kexport.errors import OutputExists, OutputFailed


def test_only_the_published_folder_is_left(tmp_path: Path) -> None:
    output = tmp_path / "a" / "bundle"
    with staging(output) as work:
        (work / "file").write_text("new")
        assert not output.exists()
        publish(work, output)
    assert (output / "file").read_text() == "new"
    assert list(output.parent.iterdir()) == [output]


def test_an_unpublished_folder_is_removed(tmp_path: Path) -> None:
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
    assert caught.value.hint == "free some space, or choose another folder; nothing was changed"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_other_exceptions_pass_and_leave_nothing(
    error: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(error), staging(tmp_path / "b"):
        raise error
    assert not list(tmp_path.iterdir())


def test_permissions_are_those_of_an_ordinary_folder(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with staging(tmp_path / "b") as work:
            publish(work, tmp_path / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755


def test_an_existing_output_is_refused(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "free", force=False)
    old = a_bundle(tmp_path / "old")
    with pytest.raises(OutputExists, match="exists already"):
        refuse_existing(old, force=False)
    refuse_existing(old, force=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputExists, match="exists already"):
        refuse_existing(tmp_path / "empty", force=False)
    refuse_existing(tmp_path / "empty", force=True)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link", "link to a bundle"])
def test_only_bundles_are_replaced(kind: str, tmp_path: Path) -> None:
    output = tmp_path / "precious"
    if kind == "folder":
        output.mkdir()
        (output / "thesis.txt").write_text("mine")
    elif kind == "file":
        output.write_text("mine")
    elif kind == "dangling link":
        output.symlink_to(tmp_path / "nowhere")
    else:
        output.symlink_to(a_bundle(tmp_path / "bundle"))
    for force in (False, True):
        with pytest.raises(OutputExists):
            refuse_existing(output, force=force)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", [".", "..", "a/..", "/"])
def test_a_folder_without_a_name(
    name: str, force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputExists, match="exists already, and is not replaced") as caught:
        refuse_existing(Path(name), force=force)
    assert caught.value.hint == "choose an `output` that ends with the name of a folder"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("n" * 300, "file name too long", "choose a shorter name"),
        ("n" * 250, "file name too long", "choose a shorter name"),
        ("file/b", "not a directory", "choose a path whose parents are folders"),
        ("file/a/b", "not a directory", "choose a path whose parents are folders"),
    ],
)
def test_a_path_where_no_folder_can_be_created(
    name: str, reason: str, hint: str, force: bool, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputFailed, match=f"cannot be written: {reason}") as caught:
        refuse_existing(tmp_path / name, force=force)
    assert caught.value.hint == f"{hint}; nothing was changed"

"""Publishing a folder in one step."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import a_bundle

from kexport.bundle import atomic, durable
from kexport.bundle import publish as publishing
from kexport.bundle.output_folder import staging
from kexport.bundle.publish import publish
from kexport.bundle.rejected import keep
from kexport.errors import OutputExists, OutputFailed


@pytest.fixture(params=["one step", "renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's own calls, and as where there are none."""
    if request.param == "renames":
        monkeypatch.setattr(atomic, "_renameat2", unsupported)
    return str(request.param)


def unsupported(*arguments: object) -> None:
    raise atomic.Unsupported


def export(
    output: Path, content: str = "new", *, force: bool, meanwhile: Callable[[], None]
) -> None:
    with staging(output) as work:
        a_bundle(work, content)
        meanwhile()
        publish(work, output, force=force)


def nothing() -> None:
    """Happens meanwhile."""


def model(bundle: Path) -> str:
    return (bundle / "model.onnx").read_text()


@pytest.mark.usefixtures("way")
class TestBothWays:
    """What holds with and without the kernel's calls."""

    def test_a_free_path(self, tmp_path: Path) -> None:
        for force in (False, True):
            export(tmp_path / str(force), force=force, meanwhile=nothing)
            assert model(tmp_path / str(force)) == "new"
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_bundle_is_replaced(self, tmp_path: Path) -> None:
        output = a_bundle(tmp_path / "b")
        export(output, force=True, meanwhile=nothing)
        assert model(output) == "new"
        assert list(tmp_path.iterdir()) == [output]

    def test_an_empty_folder_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        export(tmp_path / "b", force=True, meanwhile=nothing)
        assert model(tmp_path / "b") == "new"
        assert list(tmp_path.iterdir()) == [tmp_path / "b"]

    @pytest.mark.parametrize("content", [None, "other"])
    def test_a_folder_that_appears_meanwhile_stays(
        self, content: str | None, tmp_path: Path
    ) -> None:
        output = tmp_path / "b"

        def appear() -> None:
            output.mkdir() if content is None else a_bundle(output, content)

        with pytest.raises(OutputExists, match="exists already"):
            export(output, force=False, meanwhile=appear)
        assert list(tmp_path.iterdir()) == [output]
        assert content is None or model(output) == content

    @pytest.mark.parametrize("force", [False, True])
    def test_a_file_that_appears_meanwhile_stays(self, force: bool, tmp_path: Path) -> None:
        output = tmp_path / "b"
        with pytest.raises(OutputExists):
            export(output, force=force, meanwhile=lambda: output.write_text("mine") and None)
        assert output.read_text() == "mine"
        assert list(tmp_path.iterdir()) == [output]

    def test_a_bundle_that_is_added_to_meanwhile_stays(self, tmp_path: Path) -> None:
        output = a_bundle(tmp_path / "b")
        with pytest.raises(OutputExists, match=r"b holds notes\.txt, which is not a file"):
            export(
                output,
                force=True,
                meanwhile=lambda: (output / "notes.txt").write_text("mine") and None,
            )
        assert (output / "notes.txt").read_text() == "mine"
        assert model(output) == "old"
        assert list(tmp_path.iterdir()) == [output]

    def test_a_bundle_that_is_added_to_at_the_last_moment_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        output = a_bundle(tmp_path / "b")
        refuse = publishing.refuse

        def late(path: Path, *, force: bool) -> None:
            refuse(path, force=force)
            (output / "notes.txt").write_text("mine")

        monkeypatch.setattr(publishing, "refuse", late)
        with pytest.raises(OutputExists, match=r"b holds notes\.txt, which is not a file"):
            export(output, force=True, meanwhile=nothing)
        assert (output / "notes.txt").read_text() == "mine"
        assert model(output) == "old"
        assert list(tmp_path.iterdir()) == [output]

    @pytest.mark.parametrize("force", [False, True])
    def test_of_several_at_once_one_is_published_completely(
        self, force: bool, tmp_path: Path
    ) -> None:
        output = tmp_path / "b"
        together, refused = threading.Barrier(6), []

        def run(number: int) -> None:
            try:
                export(
                    output, f"new {number}", force=force, meanwhile=lambda: together.wait() and None
                )
            except OutputExists:
                refused.append(number)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert model(output).startswith("new ")
        assert len(refused) == (0 if force else 5)
        assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_failure_between_two_renames_restores_the_old_bundle(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = a_bundle(tmp_path / "b")
    monkeypatch.setattr(atomic, "_renameat2", unsupported)
    rename, renamed = os.rename, []

    def failing(source: Path, target: Path) -> None:
        renamed.append(target)
        if len(renamed) == 2:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises((OutputFailed, KeyboardInterrupt)):
        export(output, force=True, meanwhile=nothing)
    assert model(output) == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_a_folder_created_between_two_renames_is_kept_with_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = a_bundle(tmp_path / "b")
    monkeypatch.setattr(atomic, "_renameat2", unsupported)
    rename, renamed = os.rename, []

    def slow(source: Path, target: Path) -> None:
        renamed.append(target)
        rename(source, target)
        if len(renamed) == 1:
            output.write_text("mine")

    monkeypatch.setattr(os, "rename", slow)
    with pytest.raises(
        OutputExists, match="was created by something else during the export"
    ) as caught:
        export(output, force=True, meanwhile=nothing)
    monkeypatch.undo()
    assert output.read_text() == "mine"
    old = Path(str(caught.value.hint).rpartition(" ")[2])
    assert model(old) == "old"
    output.unlink()
    with staging(tmp_path / "other"):
        assert model(output) == "old"  # the next export puts it back
    assert list(tmp_path.iterdir()) == [output]


def test_files_are_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, events = tmp_path / "b", []
    fsync, move = os.fsync, publishing.move

    def recorded(handle: int) -> None:
        events.append(os.fstat(handle).st_ino)
        fsync(handle)

    def moved(source: Path, target: Path) -> None:
        move(source, target)
        events.append("moved")

    monkeypatch.setattr(durable.os, "fsync", recorded)
    monkeypatch.setattr(publishing, "move", moved)
    export(output, force=False, meanwhile=nothing)
    step = events.index("moved")
    inside = {path.stat().st_ino for path in (output, *output.rglob("*"))}
    assert set(events[:step]) == inside
    assert tmp_path.stat().st_ino in events[step:]


def test_a_failed_flush_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handle: int) -> None:
        raise OSError(5, "Input/output error")

    output = a_bundle(tmp_path / "b")
    monkeypatch.setattr(durable.os, "fsync", broken)
    with pytest.raises(OutputFailed, match="input/output error"):
        export(output, force=True, meanwhile=nothing)
    assert model(output) == "old"
    assert list(tmp_path.iterdir()) == [output]


def reject(output: Path) -> str:
    with staging(output) as work:
        a_bundle(work, "rejected")
        return keep(work, output)


def test_a_rejected_bundle_replaces_a_rejected_bundle_only(tmp_path: Path) -> None:
    output = tmp_path / "b"
    for _ in range(2):
        assert reject(output) == f"the rejected files are in {output}.rejected"
        assert model(tmp_path / "b.rejected") == "rejected"
    (tmp_path / "b.rejected" / "notes.txt").write_text("mine")
    (tmp_path / "b.rejected-2").write_text("mine")
    for _ in range(2):
        assert reject(output) == f"the rejected files are in {output}.rejected-3"
    assert (tmp_path / "b.rejected" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "b.rejected-2").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "b.rejected",
        "b.rejected-2",
        "b.rejected-3",
    ]


def test_rejected_files_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable.os, "fsync", broken)
    said = reject(tmp_path / "b")
    assert said == "the rejected files could not be kept: [Errno 5] Input/output error"
    assert list(tmp_path.iterdir()) == []

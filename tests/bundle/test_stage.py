"""Leftovers of killed processes, and how the next export removes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bundles import a_bundle

from kexport.bundle import stage
from kexport.bundle.output_folder import refuse_existing, staging

DIE = """
import os, signal, sys, time
from pathlib import Path
from bundles import a_bundle
from kexport.bundle import atomic
from kexport.bundle.output_folder import staging
from kexport.bundle.publish import publish

def unsupported(*arguments):
    raise atomic.Unsupported

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

rename = os.rename
def rename_and_die(*arguments):
    rename(*arguments)
    die()

output, moment = Path(sys.argv[1]), sys.argv[2]
with staging(output) as work:
    a_bundle(work, "new")
    if moment == "live":
        print("ready", flush=True)
        sys.stdin.read()
    if moment == "before":
        die()
    if moment == "between":
        atomic._renameat2 = unsupported
        os.rename = rename_and_die
    publish(work, output, force=True)
    die()
"""


def process(output: Path, moment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", DIE, str(output), moment],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(output: Path, moment: str) -> Path:
    """Return the folder that is left by a process killed at this moment."""
    with process(output, moment) as running:
        pass
    assert running.returncode == -signal.SIGKILL
    (left,) = output.parent.glob(".*.part")
    return left


def model(bundle: Path) -> str:
    return (bundle / "model.onnx").read_text()


@pytest.mark.parametrize("name", ["b", "a.b", "another"])
def test_leftovers_of_a_killed_export_are_removed(name: str, tmp_path: Path) -> None:
    killed(tmp_path / name, "before")
    refuse_existing(tmp_path / "b", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_replaced_by_a_killed_export_is_removed(tmp_path: Path) -> None:
    output = a_bundle(tmp_path / "b")
    left = killed(output, "after")
    assert model(left / "new") == "old"
    (left / "new" / "notes.txt").write_text("mine")
    with staging(tmp_path / "other"):
        assert model(output) == "new"
        assert [path.name for path in (left / "new").iterdir()] == ["manifest.json", "notes.txt"]
    (left / "new" / "notes.txt").unlink()
    with staging(tmp_path / "other"):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == [output]


def test_a_bundle_moved_away_by_a_killed_export_is_restored(tmp_path: Path) -> None:
    output = a_bundle(tmp_path / "b")
    left = killed(output, "between")
    assert not output.exists()
    assert model(left / "old") == "old"
    refuse_existing(output, force=True)
    assert model(output) == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_a_bundle_moved_away_is_kept_while_its_path_is_taken(tmp_path: Path) -> None:
    output = a_bundle(tmp_path / "b")
    left = killed(output, "between")
    output.write_text("mine")
    for _ in range(2):
        stage.clear_dead(tmp_path)
        assert model(left / "old") == "old"
    output.unlink()
    stage.clear_dead(tmp_path)
    assert model(output) == "old"


def test_the_folder_of_a_running_export_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "b"
    with process(output, "live") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        (left,) = tmp_path.iterdir()
        os.utime(left, (0, 0))
        refuse_existing(output, force=False)
        with staging(output):
            pass
        assert model(left / "new") == "new"
        running.kill()
    stage.clear_dead(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_another_kernel_are_kept_for_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = killed(tmp_path / "b", "before")
    monkeypatch.setattr(stage, "_BOOT", tmp_path / "another")
    stage.clear_dead(tmp_path)
    assert model(left / "new") == "new"
    old = time.time() - stage.WEEK - 60
    os.utime(left, (old, old))
    stage.clear_dead(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_restored_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(a_bundle(tmp_path / "b"), "between")
    monkeypatch.setattr(stage, "_BOOT", tmp_path / "another")
    stage.clear_dead(tmp_path)
    assert model(tmp_path / "b") == "old"


@pytest.mark.parametrize(
    "name", [".b.part", ".b.old", f".b.{'0' * 8}-abcdefgh.part", "b.part", ".b.x.part"]
)
@pytest.mark.parametrize("lock", [None, "mine"])
def test_other_folders_are_kept(name: str, lock: str | None, tmp_path: Path) -> None:
    folder = tmp_path / name.replace("0" * 8, stage._kernel())
    (folder / "new").mkdir(parents=True)
    (folder / "new" / "thesis.txt").write_text("mine")
    if lock is not None:
        (folder / "lock").write_text(lock)
    os.utime(folder, (0, 0))
    stage.clear_dead(tmp_path)
    assert (folder / "new" / "thesis.txt").read_text() == "mine"
    assert lock is None or (folder / "lock").read_text() == lock


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed(tmp_path / "b", "before")
    monkeypatch.setattr(stage, "_lock", lambda file, wait: False)
    os.utime(left, (0, 0))
    with staging(tmp_path / "b") as work:
        (work / "file").write_text("")
    assert list(tmp_path.iterdir()) == [left]
    assert model(left / "new") == "new"

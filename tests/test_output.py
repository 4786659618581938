"""Output folders: no export loses one, with real processes and a real model."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cpp_verifiers import Verify

from kexport import runtime
from kexport.bundle import publish as publishing
from kexport.bundle import stage
from kexport.cli.entry import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def words(root: Path) -> list[str]:
    model = str(root / "examples" / "digits" / "digits.keras")
    return [model, "--target", "cpu-fp32", "--preprocess", "tf"]


@pytest.fixture(scope="module")
def finished(
    words: list[str], verify_in_cpp: Verify, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "digits"
    assert main([*words, "-q", "-o", str(folder)]) == 0
    verify_in_cpp(folder)
    return folder


@pytest.fixture
def bundle(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "digits"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle Ctrl-C as in a terminal; a background job would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(words: list[str], output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kexport", *words, "-o", str(output)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("force", "statuses"), [(False, [0, 9, 9]), (True, [0, 0, 0])])
def test_parallel_exports_to_one_output_leave_one_bundle(
    force: bool, statuses: list[int], words: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "digits"
    running = [started([*words, *(["--force"] if force else [])], output) for _ in range(3)]
    told = [process.communicate(timeout=300)[1] for process in running]
    assert sorted(process.returncode for process in running) == statuses
    assert sum(f"error: {output} exists already" in err for err in told) == statuses.count(9)
    assert runtime.verify(output).passed
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.slow
def test_the_next_export_clears_what_a_killed_one_left(words: list[str], tmp_path: Path) -> None:
    output = tmp_path / "digits"
    with started(words, output) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "running Keras" in line:
                break
        process.kill()
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert main([*words, "-q", "-o", str(output)]) == 0
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_ignored_while_publishing(
    words: list[str], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    swap = publishing.swap

    def interrupted(*paths: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        swap(*paths)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(publishing, "swap", interrupted)
    before = bundle.stat().st_ino
    assert main([*words, "-q", "--force", "-o", str(bundle)]) == 0
    assert "stopped" not in capsys.readouterr().err
    assert bundle.stat().st_ino != before
    assert runtime.verify(bundle).passed
    assert list(tmp_path.iterdir()) == [bundle]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_publishing_names_the_bundle(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupted(table: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("kexport.cli.tables.table.show", interrupted)
    output = tmp_path / "digits"
    assert main([*words, "-q", "-o", str(output)]) == 130
    said = f"error: stopped; the bundle was written, to {output}"
    assert capsys.readouterr().err.strip() == said
    assert runtime.verify(output).passed


def test_force_replaces_no_folder_that_only_has_a_manifest(
    words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    site = tmp_path / "site"
    (site / ".git").mkdir(parents=True)
    (site / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (site / "manifest.json").write_text(json.dumps({"name": "site", "icons": []}))
    before = contents(site)
    assert main([*words, "-q", "--force", "-o", str(site)]) == 9
    assert f"{site} is not a bundle, so --force does not replace it" in capsys.readouterr().err
    assert contents(site) == before
    assert list(tmp_path.iterdir()) == [site]


def test_force_names_the_first_foreign_file(
    words: list[str], bundle: Path, capsys: Capture
) -> None:
    (bundle / "cpp" / "build").mkdir()
    (bundle / "cpp" / "build" / "CMakeCache.txt").write_text("mine")
    before = contents(bundle)
    assert main([*words, "-q", "--force", "-o", str(bundle)]) == 9
    assert "holds cpp/build, which is not a file of the bundle" in capsys.readouterr().err
    assert contents(bundle) == before


def test_a_bundle_that_has_run_is_replaced(words: list[str], bundle: Path, tmp_path: Path) -> None:
    """As a former version left it, which wrote bytecode beside the runtime."""
    assert py_compile.compile(str(bundle / "runtime" / "session.py"))
    assert list((bundle / "runtime" / "__pycache__").iterdir())
    (bundle / "engine.plan").write_bytes(b"plan")
    (bundle / "model.onnx").write_bytes(b"damaged")
    assert main([*words, "-q", "--force", "-o", str(bundle)]) == 0
    assert runtime.verify(bundle).passed
    assert list(tmp_path.iterdir()) == [bundle]


def test_the_current_folder_is_not_replaced(
    words: list[str], bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(bundle)
    before = contents(bundle)
    assert main([*words, "-q", "--force", "-o", "."]) == 9
    assert "error: . exists already" in capsys.readouterr().err
    assert contents(bundle) == before


@pytest.mark.parametrize("name", ["n" * 300, "file/b"])
def test_an_impossible_output_is_refused_before_any_work(
    name: str, words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main([*words, "-o", str(tmp_path / name)]) == 10
    err = capsys.readouterr().err
    assert f"error: {tmp_path / name} cannot be written: " in err
    assert "building" not in err  # before any work
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_is_refused_as_model_repository(
    words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("mine")
    layout = ["--layout-triton", str(tmp_path / "file")]
    assert main([*words, *layout, "-o", str(tmp_path / "b")]) == 10
    err = capsys.readouterr().err
    assert f"error: {tmp_path / 'file'} cannot be written: not a directory" in err
    assert "building" not in err  # before any work
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize(("output", "models"), [("m/digits", "m"), ("m", "m"), ("m/digits/b", "m")])
def test_a_bundle_and_a_model_cannot_share_a_folder(
    output: str, models: str, words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    layout = ["--layout-triton", str(tmp_path / models)]
    assert main([*words, "-q", *layout, "-o", str(tmp_path / output)]) == 2
    assert "not inside one another" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_failed_layout_names_the_bundle_that_was_written(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    output, models = tmp_path / "b", tmp_path / "models"
    close = stage.Stage.close

    def appear(closing: stage.Stage) -> None:
        close(closing)
        if closing.output == output:
            models.write_text("mine")

    monkeypatch.setattr(stage.Stage, "close", appear)
    assert main([*words, "-q", "--layout-triton", str(models), "-o", str(output)]) == 10
    err = capsys.readouterr().err
    assert "nothing was changed" not in err
    assert f"hint: the bundle was written, to {output}" in err
    assert runtime.verify(output).passed
    assert sorted(os.listdir(tmp_path)) == ["b", "models"]

"""Usage of the command line: mistakes and their hints, help, the version."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import kexport
from kexport import runtime
from kexport.cli import main
from kexport.cli.group import program
from kexport.runtime import errors as faults
from kexport.runtime.verify import Row


@pytest.mark.parametrize(
    ("words", "status", "message", "hint"),
    [
        ("vgg16", 2, "no target given for 'vgg16'", "--target and one of: arm64-fp32, "),
        ("modles", 2, "no target given for 'modles'", "did you mean 'models'?"),
        ("vgg16 -t cpu-fp33", 4, "has no precision 'fp33'", "choose cpu-fp32 or cpu-int8"),
        ("-t cpu-fp32", 2, "missing argument 'MODEL'", "see: kexport export --help"),
        ("vgg16 --colour", 2, "no such option", "see: kexport export --help"),
        ("vgg16 -t cpu-fp32 --batch 0", 2, "neither a number from 1 nor 'dynamic'", "--help"),
        ("vgg16 -t cpu-fp32 --batch many", 2, "neither a number from 1 nor 'dynamic'", "--help"),
        ("vgg16 -t cpu-fp32 --input-shape 8", 2, "not of the form H,W or H,W,C", "--help"),
        ("vgg16 -t cpu-fp32 --input-shape a,b", 2, "not of the form H,W or H,W,C", "--help"),
        ("vgg16 -t cpu-fp32 --classes 0", 2, "invalid value for '--classes'", "--help"),
        ("vgg16 -t cpu-fp32 --pooling min", 2, "invalid value for '--pooling'", "--help"),
        ("vgg16 -t cpu-fp32 --labels nowhere.txt", 2, "'nowhere.txt' does not exist", "--help"),
        ("vgg16 vgg19 -t cpu-fp32", 2, "unexpected extra argument", "--help"),
        ("targets gpu-fp32", 4, "unknown target 'gpu-fp32'", "did you mean 'cpu-fp32'?"),
        ("run", 2, "missing argument 'BUNDLE'", "see: kexport run --help"),
        ("run nowhere image.jpg", 14, "nowhere", ""),
        ("verify nowhere", 14, "nowhere", ""),
    ],
)
def test_mistakes_have_a_message_a_hint_and_an_exit_status(
    words: str, status: int, message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == status
    out, err = capsys.readouterr()
    assert out == ""
    first, *rest = err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert not first.endswith(".")
    if hint:
        assert rest[0].startswith("hint: ")
        assert hint in rest[0]


def test_verify_fails_for_other_outputs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("logits", max_abs=0.5, error=0.25, tolerance=1e-4, top1_agreement=1.0)
    drifted = runtime.Verification("vgg16", "cpu-fp32", "onnxruntime 1", 5, 4, (row,))
    monkeypatch.setattr(runtime, "verify", lambda bundle: drifted)
    assert main(["verify", "b"]) == 12
    out, err = capsys.readouterr()
    assert "logits: error 2.5e-01, tolerance 1e-04" in out
    assert out.splitlines()[-1].split() == ["result", "FAILED"]
    assert err.startswith("error: b does not compute its golden outputs on this machine\nhint: ")
    assert main(["verify", "b", "--json"]) == 12
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_warnings_of_the_runtime_are_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(bundle: Path) -> Any:
        warnings.warn("CUDA did not load", RuntimeWarning, stacklevel=2)
        raise faults.BundleRefused("and then it broke")

    monkeypatch.setattr(runtime, "load", load)
    assert main(["run", "b", "image.jpg"]) == 14
    assert capsys.readouterr().err == "warning: CUDA did not load\nerror: and then it broke\n"


def test_usage_errors_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vgg16", "--json", "--batch", "x"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_status"] == 2


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: kexport MODEL --target TARGET" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], *([name, "-h"] for name in program.commands)]
)
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: kexport ")
    assert "..." not in "".join(line for line in out.splitlines() if line.startswith("  run"))


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kexport {kexport.__version__}\n"


def test_python_m_kexport_runs_the_command_line() -> None:
    command = [sys.executable, "-m", "kexport", "vgg16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no target given for 'vgg16'\nhint: ")

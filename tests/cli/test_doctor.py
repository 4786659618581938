"""`kexport doctor`: results on this machine, and on machines with faults."""

import json
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kexport.cli import installation, main, run_probe
from kexport.cli.installation import Check
from kexport.cli.run_probe import ProbeFailed

Answers = dict[str, dict[str, Any] | str]


def prober(answers: Answers) -> Callable[[str], dict[str, Any]]:
    """Make a probe that answers from a table; a text is a failure with that reason."""

    def probe(thing: str) -> dict[str, Any]:
        answer = answers[thing]
        if isinstance(answer, str):
            raise ProbeFailed(answer)
        return answer

    return probe


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set which distributions own a module, and which versions are installed."""

    def set_owners(modules: dict[str, list[str]], versions: dict[str, str]) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(metadata, "files", lambda name: [])
        monkeypatch.setattr(metadata, "packages_distributions", lambda: modules)
        monkeypatch.setattr(metadata, "version", version)

    return set_owners


@pytest.mark.slow
def test_this_machine_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {check["subject"]: check for check in report["checks"]}
    assert report["healthy"] is True
    assert found["keras"]["detail"] == metadata.version("keras")
    assert found["keras loads"]["detail"] == "backend tensorflow"
    assert found["onnxruntime"]["detail"] == metadata.version("onnxruntime")
    assert found["CPUExecutionProvider"]["detail"] == "ran a model"
    assert "AzureExecutionProvider" not in found


def test_a_missing_requirement_decides_the_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Check("keras", "ok", "3.15.1"),
        Check("onnx", "missing", "", "pip install 'onnx>=1.18'"),
        Check("tensorrt", "missing", "not installed", required=False),
    ]
    monkeypatch.setattr(installation, "all_checks", lambda: rows)
    assert main(["doctor"]) == 13
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["keras", "ok"],
        ["onnx", "missing"],
        ["tensorrt", "missing"],
    ]
    assert lines[1].endswith("pip install 'onnx>=1.18'")
    rows.pop(1)
    assert main(["doctor"]) == 0


def test_packages_are_compared_with_the_requirements(owners: Callable[..., None]) -> None:
    owners({}, {"click": "8.3.0", "onnx": "1.2.0", "tensorflow": "2.20.0"})
    wanted = [
        "click>=8.2",
        "onnx>=1.18",
        "rich>=13",
        "tensorflow-cpu>=2.18; python_version >= '3'",
        "tomli>=2; python_version < '3'",
        "onnxruntime>=1.20; extra == 'cpu'",
    ]
    assert list(installation.packages(wanted)) == [
        Check("click", "ok", "8.3.0"),
        Check("onnx", "broken", "1.2.0", "pip install 'onnx>=1.18'"),
        Check("rich", "missing", "", "pip install 'rich>=13'"),
        Check("tensorflow", "ok", "2.20.0"),
    ]


def test_a_provider_in_the_list_must_run_a_model() -> None:
    answers: Answers = {
        "providers": {
            "version": "1.31.1",
            "providers": [
                "TensorrtExecutionProvider",
                "CUDAExecutionProvider",
                "AzureExecutionProvider",
                "CPUExecutionProvider",
            ],
        },
        "TensorrtExecutionProvider": "libnvinfer.so.10: cannot open shared object file",
        "CUDAExecutionProvider": {"loaded": True, "correct": False},
        "CPUExecutionProvider": {"loaded": True, "correct": True},
    }
    version, trt, cuda, cpu = installation.engines(prober(answers))
    assert version == Check("onnxruntime", "ok", "1.31.1")
    assert (trt.state, trt.required) == ("broken", False)
    assert trt.detail == "libnvinfer.so.10: cannot open shared object file"
    assert (cuda.state, cuda.required) == ("broken", False)
    assert cpu == Check("CPUExecutionProvider", "ok", "ran a model")


def test_without_onnxruntime_no_provider_is_checked() -> None:
    (check,) = installation.engines(prober({"providers": "not installed"}))
    assert (check.state, check.required) == ("missing", True)
    assert check.advice == "pip install 'kexport[cpu]'"


def test_keras_that_does_not_load_is_broken() -> None:
    check = installation.keras(prober({"keras": "libcuda broke"}))
    assert (check.state, check.detail) == ("broken", "libcuda broke")


def test_tensorrt_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.shutil, "which", lambda *args, **options: None)
    assert installation.tensorrt(prober({"tensorrt": {"version": "11.4.0"}})).detail == "11.4.0"
    absent = installation.tensorrt(prober({"tensorrt": "not installed"}))
    assert (absent.state, absent.required) == ("missing", False)
    monkeypatch.setattr(installation.shutil, "which", lambda *args, **options: "/opt/trtexec")
    assert installation.tensorrt(prober({"tensorrt": "not installed"})).detail == "/opt/trtexec"


def test_tensorrt_for_rtx_is_optional() -> None:
    there = installation.tensorrt_rtx(prober({"tensorrt_rtx": {"version": "1.7.1"}}))
    assert (there.state, there.detail) == ("ok", "1.7.1, builds without a GPU")
    absent = installation.tensorrt_rtx(prober({"tensorrt_rtx": "not installed"}))
    assert (absent.state, absent.required) == ("missing", False)
    assert "kexport[rtx]" in (absent.advice or "")


def test_the_advice_for_a_provider_that_does_not_load_names_its_packages() -> None:
    answers: Answers = {
        "providers": {"version": "1.31.1", "providers": ["CUDAExecutionProvider"]},
        "CUDAExecutionProvider": "libcudnn.so.9: cannot open shared object file",
    }
    _, cuda = installation.engines(prober(answers))
    assert cuda.detail == "libcudnn.so.9: cannot open shared object file"
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in (cuda.advice or "")


@pytest.mark.parametrize(
    ("status", "out", "state", "detail"),
    [
        (
            0,
            "NVIDIA H100, 580.1\nNVIDIA H100, 580.1\n",
            "ok",
            "NVIDIA H100, 580.1; NVIDIA H100, 580.1",
        ),
        (9, "no driver\n", "broken", "no driver"),
    ],
)
def test_gpus_are_listed(
    status: int, out: str, state: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleNamespace(returncode=status, stdout=out, stderr="")
    monkeypatch.setattr(installation.shutil, "which", lambda name: "/bin/nvidia-smi")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)
    check = installation.gpu()
    assert (check.state, check.detail, check.required) == (state, detail, False)


def test_two_distributions_with_the_same_folder_clash(owners: Callable[..., None]) -> None:
    modules = {
        "onnxruntime": ["onnxruntime-gpu", "onnxruntime", "onnxruntime"],
        "tensorflow": ["tensorflow-cpu"],
    }
    owners(modules, {})
    (check,) = installation.clashes()
    assert (check.subject, check.state, check.required) == ("onnxruntime", "clash", True)
    assert check.detail == "onnxruntime and onnxruntime-gpu write into the same folder"


@pytest.mark.parametrize(("installed", "count"), [("11.4.0", 1), ("10.13.2", 0), (None, 0)])
def test_another_tensorrt_than_the_provider_needs_is_a_clash(
    installed: str | None,
    count: int,
    owners: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = tmp_path / "libonnxruntime_providers_tensorrt.so"
    library.write_bytes(b"\x7fELF\0libcudart.so.13\0libnvinfer.so.10\0")
    file = SimpleNamespace(name=library.name, locate=lambda: library)
    owners({"onnxruntime": ["onnxruntime-gpu"]}, {"tensorrt": installed} if installed else {})
    monkeypatch.setattr(metadata, "files", lambda name: [file])
    found = list(installation.clashes())
    assert len(found) == count
    if found:
        assert found[0].detail == "ONNX Runtime's provider needs TensorRT 10, installed is 11.4.0"
        assert "tensorrt==10.*" in (found[0].advice or "")


@pytest.mark.parametrize(
    ("status", "out", "err", "reason"),
    [
        (
            1,
            "",
            "Traceback\nImportError: libx.so.9: cannot open shared object file: No",
            "libx.so.9",
        ),
        (1, "", "first\nlast line\n", "^last line$"),
        (-11, "", "", "^ended with -11$"),
        (0, '{"loaded": false}', "", "^fell back to another provider$"),
        (0, '{"loaded": false}', "libcudnn.so.9: cannot open shared object file", "libcudnn"),
    ],
)
def test_a_failed_probe_gives_its_reason(
    status: int, out: str, err: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleNamespace(returncode=status, stdout=out, stderr=err)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)
    with pytest.raises(ProbeFailed, match=reason):
        run_probe.probe("anything")


def test_a_probe_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ProbeFailed, match="nothing within 120 s"):
        run_probe.probe("anything")


def test_a_provider_that_does_not_exist_fails() -> None:
    with pytest.raises(ProbeFailed):
        run_probe.probe("NoSuchExecutionProvider")

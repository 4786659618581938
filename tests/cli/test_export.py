"""The command line's own work: parsing, routing, messages, exit statuses. The API is a stand-in."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

import kexport
from kexport import errors
from kexport.calibration.accuracy.latency import Speed
from kexport.cli import main
from kexport.options.image_input import ImageInput
from kexport.runtime import errors as faults
from kexport.source.open import Recipe

MANIFEST: dict[str, Any] = {
    "schema": 1,
    "model": {"name": "vgg16", "source": "keras.applications.VGG16", "weights": "random"},
    "target": {"name": "cpu-fp32", "opset": 20, "toolchain": None},
    "findings": [],
    "quantization": None,
    "inputs": [{"name": "image", "dtype": "uint8", "shape": [None, 224, 224, 3], "color": "RGB"}],
    "outputs": [
        {"name": "probabilities", "dtype": "float32", "shape": [None, 9], "kind": "probabilities"}
    ],
    "parity": {
        "images": 8,
        "passed": True,
        "outputs": {
            "probabilities": {"max_abs": 1e-7, "error": 2.14e-6, "tolerance": 1e-4},
            "logits": {"max_abs": 1e-5, "error": 1e-6, "tolerance": 1e-4},
        },
    },
    "files": {
        "model.onnx": {"sha256": "0", "bytes": 1_500_000},
        "model.onnx.data": {"sha256": "0", "bytes": 500_000},
        "golden.npz": {"sha256": "0", "bytes": 9_000_000},
    },
    "build": None,
    "engine_check": None,
    "float32_nodes": [],
    "largest_value": None,
}

Calls = list[dict[str, Any]]
Fake = Callable[[Callable[..., Any]], Calls]


@pytest.fixture
def fake_export(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a function in the place of kexport.api.export; return the list of its calls."""

    def install(behave: Callable[..., Any]) -> Calls:
        calls: Calls = []

        def export(model: str, target: str, **options: Any) -> Any:
            calls.append({"model": model, "target": target, **options})
            return behave(model, target, **options)

        api = SimpleNamespace(export=export)
        monkeypatch.setitem(sys.modules, "kexport.api", api)
        monkeypatch.setattr(kexport, "api", api, raising=False)
        return calls

    return install


def succeed(model: str, target: str, *, progress: Callable[[str], None], **options: Any) -> Any:
    progress("converting")
    print("Downloading data")  # noqa: T201  what Keras does
    return SimpleNamespace(
        path=Path(f"{model}-{target}"), manifest=MANIFEST, speed=None, engine=None
    )


def test_defaults_reach_the_api(fake_export: Fake) -> None:
    (calls,) = [fake_export(succeed)]
    assert main(["vgg16", "--target", "cpu-fp32", "--quiet"]) == 0
    (call,) = calls
    assert callable(call.pop("progress"))
    assert call == {
        "model": "vgg16",
        "target": "cpu-fp32",
        "output": None,
        "recipe": Recipe(),
        "batch": 1,
        "jetpack": None,
        "tensorrt": None,
        "compute_capabilities": (),
        "opset": None,
        "labels": None,
        "output_layers": (),
        "pixels": ImageInput(),
        "top_k": None,
        "calibration_data": None,
        "calibration_method": "mse",
        "calibration_cache": None,
        "max_drop": 0.01,
        "eval_data": None,
        "require_speedup": None,
        "layout_triton": None,
        "force": False,
        "timestamps": False,
    }


def test_every_option_reaches_the_api(fake_export: Fake, tmp_path: Path) -> None:
    calls = fake_export(succeed)
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n", encoding="utf-8")
    words = (
        "export m.keras -t TRT_FP16 -o out --weights random --no-top --pooling max --classes 5"
        " --input-shape 96,64 --activation none --alpha 0.5 --minimalistic"
        " --depth-multiplier 2 --no-preprocessing-layers --output-layer a --output-layer b "
        "--input-format bgra --layout nchw --input-dtype float32 --resize bilinear"
        " --crop center --top-k 3 --layout-triton models --compute-capabilities 8.6,8.9 "
        "--calibration-data photos --calibration-method entropy --calibration-cache ranges.json "
        "--max-drop 0.02 --eval-data labelled --require-speedup 1.5 "
        f"--preprocess caffe --batch dynamic --labels {labels} --opset 18 --seed 3 --tensorrt 10.3"
        " --force --trust --timestamps -q"
    )
    assert main(words.split()) == 0
    (call,) = calls
    del call["progress"]
    assert call == {
        "model": "m.keras",
        "target": "trt-fp16",
        "output": Path("out"),
        "recipe": Recipe(
            weights="random",
            include_top=False,
            pooling="max",
            classes=5,
            input_shape=(96, 64, 3),
            activation=None,
            alpha=0.5,
            minimalistic=True,
            depth_multiplier=2,
            include_preprocessing=False,
            preprocess="caffe",
            seed=3,
            trust=True,
        ),
        "batch": "dynamic",
        "jetpack": None,
        "tensorrt": "10.3",
        "compute_capabilities": ("8.6", "8.9"),
        "opset": 18,
        "labels": str(labels),
        "output_layers": ("a", "b"),
        "pixels": ImageInput("bgra", "nchw", "float32", "bilinear", "center"),
        "top_k": 3,
        "calibration_data": "photos",
        "calibration_method": "entropy",
        "calibration_cache": "ranges.json",
        "max_drop": 0.02,
        "eval_data": "labelled",
        "require_speedup": 1.5,
        "layout_triton": Path("models"),
        "force": True,
        "timestamps": True,
    }


def test_channels_can_be_given(fake_export: Fake) -> None:
    calls = fake_export(succeed)
    assert (
        main(["m.keras", "-t", "cpu-fp32", "-q", "--input-shape", "28,28,1", "--batch", "16"]) == 0
    )
    assert calls[0]["recipe"].input_shape == (28, 28, 1)
    assert calls[0]["batch"] == 16


def test_options_may_come_before_the_model(fake_export: Fake) -> None:
    calls = fake_export(succeed)
    assert main(["--target", "cpu-fp32", "vgg16", "-q"]) == 0
    assert calls[0]["model"] == "vgg16"


def test_the_result_is_a_table_on_stdout(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(succeed)
    main(["vgg16", "-t", "cpu-fp32"])
    out, err = capsys.readouterr()
    rows = [line.split(None, 1) for line in out.splitlines()]
    assert dict(row for row in rows if row[0] in ("model", "size", "bundle", "next")) == {
        "model": "vgg16, weights: random",
        "size": "2.0 MB",
        "bundle": "vgg16-cpu-fp32",
        "next": "kexport run vgg16-cpu-fp32 image.jpg",
    }
    assert "image uint8 [N, 224, 224, 3] RGB" in out
    assert "probabilities: error 2.1e-06, tolerance 1e-04" in out
    assert "logits: error 1.0e-06, tolerance 1e-04" in out
    assert "converting" in err
    assert "Downloading" in err
    assert "Downloading" not in out


def test_a_path_with_brackets_and_blanks_survives(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = SimpleNamespace(
        path=Path("my [bold] models"), manifest=MANIFEST, speed=None, engine=None
    )
    fake_export(lambda *args, **options: bundle)
    main(["vgg16", "-t", "cpu-fp32", "-q"])
    assert "kexport run 'my [bold] models' image.jpg" in capsys.readouterr().out


def test_a_model_without_classes_is_to_be_verified_next(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [
        {"name": "features", "dtype": "float32", "shape": [1, 7, 7, 512], "kind": "features"}
    ]
    bundle = SimpleNamespace(
        path=Path("b"), manifest={**MANIFEST, "outputs": outputs}, speed=None, engine=None
    )
    fake_export(lambda *args, **options: bundle)
    main(["vgg16", "-t", "cpu-fp32", "-q"])
    assert "kexport verify b\n" in capsys.readouterr().out


def test_json_is_the_manifest_and_the_path(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(succeed)
    assert main(["vgg16", "-t", "cpu-fp32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**MANIFEST, "path": "vgg16-cpu-fp32"}


def test_quiet_leaves_stderr_empty(fake_export: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake_export(succeed)
    main(["vgg16", "-t", "cpu-fp32", "--quiet"])
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal() -> None:
    pty = pytest.importorskip("pty")
    code = (
        "from kexport.cli.progress import progress\n"
        "with progress(quiet=False) as report: report('a [bold] step'); print('chatter')"
    )
    controller, terminal = pty.openpty()
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(controller, 10_000).decode()
    os.close(controller)
    assert done.stdout == b""
    assert "a [bold] step" in shown
    assert "0:00:00" in shown
    assert "chatter" in shown


ERRORS = [
    *errors.KexportError.__subclasses__(),
    *faults.RuntimeFault.__subclasses__(),
    errors.KexportError,
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_is_two_lines_and_its_number(
    error: type[errors.KexportError], fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error("it broke", hint="mend it")

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == error.exit_code
    assert capsys.readouterr() == ("", "error: it broke\nhint: mend it\n")
    assert main(["vgg16", "-t", "cpu-fp32", "-q", "--json"]) == error.exit_code
    report = json.loads(capsys.readouterr().out)
    assert report == {"error": "it broke", "hint": "mend it", "exit_status": error.exit_code}


def test_no_hint_is_no_line(fake_export: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise errors.OutputFailed("disk full")

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 10
    assert capsys.readouterr().err == "error: disk full\n"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, click.Abort])
def test_an_interrupt_ends_with_130(
    stop: type[BaseException], fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: Any, **options: Any) -> None:
        raise stop

    fake_export(interrupt)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 130
    assert capsys.readouterr().err.strip() == "error: stopped; nothing was written"


def test_an_interrupt_under_another_name(fake_export: Fake) -> None:
    def fail(*args: Any, **options: Any) -> None:
        try:
            raise ImportError("initialization failed") from KeyboardInterrupt()
        except ImportError as error:
            raise errors.MissingDependency("onnxruntime does not load") from error

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 130


def test_a_mistake_of_ours_is_not_hidden(fake_export: Fake) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("a bug")

    fake_export(fail)
    with pytest.raises(ZeroDivisionError):
        main(["vgg16", "-t", "cpu-fp32", "-q"])


QUANTIZATION: dict[str, Any] = {
    "method": "mse",
    "images": 100,
    "judged_on": 80,
    "skipped": ["broken.jpg"],
    "gate": {"measure": "labels", "max_drop": 0.02},
    "keras": {"sqnr": None, "agreement": 1.0, "top1": 0.9, "top5": 1.0},
    "multiply_adds_int8": 0.987,
    "steps": [
        {"name": "quantised", "sqnr": 20.5, "agreement": 0.96, "top1": 0.88, "top5": 1.0}
        | {"kept": True},
        {"name": "equalisation", "sqnr": 19.0, "agreement": None, "top1": None, "top5": None}
        | {"kept": False},
    ],
    "layers": [{"node": "stem/Conv", "sqnr": 31.25}, {"node": "exact/Conv", "sqnr": None}],
    "float_nodes": [{"node": "top/Gemm", "reason": "the gate"}],
    "speed": None,
}


def quantized(model: str, target: str, **options: Any) -> Any:
    manifest = {**MANIFEST, "quantization": QUANTIZATION}
    return SimpleNamespace(path=Path("int8"), manifest=manifest, speed=Speed(4.0, 5.0), engine=None)


def test_int8_comes_with_what_it_cost(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(quantized)
    assert main(["vgg16", "-t", "cpu-int8", "-q"]) == 0
    out, err = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "int8 98.7% of the multiply-adds" in lines
    assert "gate top-1 accuracy may drop by 2.0%" in lines
    assert "skipped broken.jpg" in lines
    assert "float top/Gemm: the gate" in lines
    assert "Keras itself 100.0% 90.0% 100.0%" in lines
    assert "quantised 20.5 dB 96.0% 88.0% 100.0%" in lines
    assert "equalisation 19.0 dB not kept" in lines
    assert "stem/Conv 31.2 dB" in lines
    assert any("5.00 ms, and 4.00 ms in fp32: 0.80 times as fast" in line for line in lines)
    assert err == "warning: int8 is slower than fp32 here: 5.00 ms, and 4.00 ms in fp32\n"


def test_json_has_the_speed_that_the_manifest_leaves_out(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(quantized)
    assert main(["vgg16", "-t", "cpu-int8", "-q", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["quantization"] == {
        **QUANTIZATION,
        "speed": {"float_ms": 4.0, "int8_ms": 5.0},
    }


def test_a_quantized_bundle_is_shown_beside_keras_and_beside_its_graph(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from kexport.cli.tables.bundle import show, verification_table
    from kexport.runtime.verify import Row, Verification

    rows = (Row("logits", 5.0, 2.2, 4.4, 0.75), Row("graph:logits", 0.1, 0.03, 0.2, 1.0))
    show(verification_table(Path("b"), Verification("m", "cpu-int8", "engine", 3, 8, rows)))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[-5:] == [
        "parity  logits: error 2.2e+00, tolerance 4e+00",
        "on 8 golden images, Keras against the bundle",
        "logits: error 3.0e-02, tolerance 2e-01",
        "on the same, the quantised graph against the bundle",
        "result  passed",
    ]

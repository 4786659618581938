"""`kexport export`: the result on stdout, progress on stderr. The API is a stand-in."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from fake_export import MANIFEST, Fake, exported, succeed

from kexport.calibration.accuracy.latency import Speed
from kexport.cli import main
from kexport.stages.resizing import ResizeTrial


def test_the_result_is_a_table_on_stdout(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(succeed)
    main(["vgg16", "-t", "cpu-fp32"])
    out, err = capsys.readouterr()
    rows = [line.split(None, 1) for line in out.splitlines()]
    assert dict(row for row in rows if row[0] in ("model", "size", "speed", "bundle", "next")) == {
        "model": "vgg16, weights: random",
        "size": "2.0 MB",
        "speed": "1.50 ms for 1 sample",
        "bundle": "vgg16-cpu-fp32",
        "next": "kexport run vgg16-cpu-fp32 image.jpg",
    }
    assert "image uint8 [N, 224, 224, 3] RGB" in out
    assert "probabilities: error 2.1e-06, tolerance 1e-04" in out
    assert "logits: error 1.0e-06, tolerance 1e-04" in out
    assert "converting" in err
    assert "Downloading" in err
    assert "Downloading" not in out


def test_a_path_with_brackets_and_blanks_is_quoted(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = exported("my [bold] models")
    fake_export(lambda *args, **options: bundle)
    main(["vgg16", "-t", "cpu-fp32", "-q"])
    assert "kexport run 'my [bold] models' image.jpg" in capsys.readouterr().out


def test_the_next_command_of_a_model_without_an_image_is_verify(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [{"name": "x", "dtype": "float32", "shape": [1, 7], "color": None}]
    bundle = exported("b", manifest={**MANIFEST, "inputs": inputs})
    fake_export(lambda *args, **options: bundle)
    main(["vgg16", "-t", "cpu-fp32", "-q"])
    assert "kexport verify b\n" in capsys.readouterr().out


TRIAL = ResizeTrial(
    chosen="pil-nearest",
    compared="pil-nearest",
    best="tf-bilinear",
    accuracies={"pil-nearest": 0.83, "tf-bilinear": 0.98},
    images=100,
    chance=0.0004,
)


def test_a_better_way_of_resizing_is_a_warning(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(lambda *args, **options: exported("b", resize_trial=TRIAL))
    main(["vgg16", "-t", "cpu-fp32", "-q"])
    out, err = capsys.readouterr()
    assert "pil-nearest, stretch: as load_img and Pillow" in out
    assert "Keras on 100 labelled images: tf-bilinear 98.0%, pil-nearest 83.0%" in out
    assert "tf-bilinear over pil-nearest by chance: 0.0004" in out
    assert "Keras itself has more right with tf-bilinear: 98.0% instead of 83.0% of 100" in err


@pytest.mark.parametrize("changed", [{"chance": 0.02}, {"chosen": "tf-bilinear"}])
def test_no_warning_for_chance_or_for_what_was_chosen(
    fake_export: Fake, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]
) -> None:
    fake_export(lambda *args, **options: exported("b", resize_trial=replace(TRIAL, **changed)))
    main(["vgg16", "-t", "cpu-fp32", "-q"])
    assert capsys.readouterr().err == ""


def test_json_has_the_trial(fake_export: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake_export(lambda *args, **options: exported("b", resize_trial=TRIAL))
    main(["vgg16", "-t", "cpu-fp32", "-q", "--json"])
    assert json.loads(capsys.readouterr().out)["resize_trial"] == asdict(TRIAL)


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


def test_progress_on_a_terminal_is_one_line() -> None:
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


QUANTIZATION: dict[str, Any] = {
    "method": "mse",
    "images": 100,
    "judged_on": 80,
    "skipped": ["broken.jpg"],
    "gate": {
        "measure": "labels",
        "max_drop": 0.02,
        "outcome": "undecided",
        "drop": 0.0125,
        "interval": [-0.02, 0.07],
        "confidence": 0.95,
        "images_to_decide": None,
    },
    "keras": {"sqnr": None, "agreement": 1.0, "top1": 0.9, "top5": 1.0},
    "labelled": {"images": 80, "measure": "top1", "value": 0.8875, "interval": [0.797, 0.947]},
    "float_bytes": 7_900_000,
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


LABELLED = {"images": 80, "top1": 0.9, "measure": "top1", "value": 0.9, "interval": [0.812, 0.956]}


def quantized(model: str, target: str, **options: Any) -> Any:
    manifest = {**MANIFEST, "quantization": QUANTIZATION, "labelled": LABELLED}
    return exported("int8", manifest=manifest, speed=Speed(4.0, 5.0))


def test_int8_is_shown_with_its_accuracy_and_speed(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(quantized)
    assert main(["vgg16", "-t", "cpu-int8", "-q"]) == 0
    out, err = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == (
        "top-1 accuracy: Keras 90.0 % -> int8 88.8 % on 80 images (79.7 to 94.7), 1.2 times "
        "slower, 7.9 MB -> 2.0 MB"
    )
    assert "int8 98.7% of the multiply-adds" in lines
    assert "gate top-1 accuracy may drop by 2.0%" in lines
    ends = "undecided, since 2.0% is between its ends"
    assert f"drop 1.2%, 95% interval -2.0% to 7.0%: {ends}" in lines
    assert "no affordable number of images would decide at this rate" in lines
    assert "skipped broken.jpg" in lines
    assert "float top/Gemm: the gate" in lines
    assert "Keras itself 100.0% 90.0% 100.0%" in lines
    assert "quantised 20.5 dB 96.0% 88.0% 100.0%" in lines
    assert "equalisation 19.0 dB not kept" in lines
    assert "stem/Conv 31.2 dB" in lines
    assert any("5.00 ms, and 4.00 ms in fp32: 0.80 times as fast" in line for line in lines)
    assert err == "warning: int8 is slower than fp32 here: 5.00 ms, and 4.00 ms in fp32\n"


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            {"measure": "agreement", "drop": 0.0625, "interval": [0.0205, 0.1398]},
            "int8 gives Keras' class on 93.8% of 80 images (86.0 to 98.0), 7.9 MB -> 2.0 MB",
        ),
        ({"measure": "noise"}, "int8 has an SQNR of 20.5 dB beside Keras on 80 images, 7.9 MB"),
    ],
)
def test_without_labels_the_agreement_or_the_noise_comes_first(
    gate: dict[str, Any], said: str, fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {**QUANTIZATION, "gate": {**QUANTIZATION["gate"], **gate}, "labelled": None}
    manifest = {**MANIFEST, "quantization": entry, "labelled": None}
    fake_export(lambda *args, **options: exported("int8", manifest=manifest))
    assert main(["vgg16", "-t", "cpu-int8", "-q"]) == 0
    assert capsys.readouterr().out.startswith(said)


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


def test_a_quantized_bundle_is_compared_with_keras_and_with_its_graph(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from kexport.cli.tables.answers import verification_table
    from kexport.cli.tables.table import show
    from kexport.runtime.verify import Row, Verification

    rows = (Row("logits", 5.0, 2.2, 4.4, 0.75), Row("graph:logits", 0.1, 0.03, 0.2, 1.0))
    show(verification_table(Path("b"), Verification("m", "cpu-int8", "engine", 3, 8, rows)))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[-5:] == [
        "parity  logits: error 2.2e+00, tolerance 4e+00",
        "on 8 golden images, Keras against the bundle",
        "logits: error 3.0e-02, tolerance 2e-01",
        "on the same, the quantized graph against the bundle",
        "result  passed",
    ]


def test_a_probability_that_may_be_anything_is_not_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside its logits; the error of an int8 graph may be larger than any probability."""
    from kexport.cli.tables.parity import compared

    rows = [("scores", 0.85, 1.0, 4.0), ("logits", 3.0, 1.9, 3.8), ("boxes", 20.0, 0.1, 4.0)]
    said = list(compared(rows, "on 8 images", "the bundle"))
    assert said == [
        "logits: error 1.9e+00, tolerance 4e+00",
        "boxes: largest difference 2.0e+01, allowed 8.0e+02",
        "on 8 images, Keras against the bundle",
    ]
    exact = [("scores", 1e-5, 1e-5, 1e-3), ("logits", 1e-4, 1e-5, 1e-4)]
    assert "scores: largest difference 1.0e-05, allowed 1.0e-03" in compared(exact, "", "")


def test_branches_that_no_sample_reaches_are_named(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = [{"layer": f"relu_{i}", "operator": "Clip", "branch": "above 6"} for i in range(6)]
    coverage = {"reached": 8, "total": 14, "unreached": missed, "left_out": ["x with zeros: NaN"]}
    rows: dict[str, Any] = {"batch 1": {}, "height 95, width 131": {}}
    parity = {**MANIFEST["parity"], "coverage": coverage, "probes": rows}
    bundle = exported("b", manifest={**MANIFEST, "parity": parity})
    fake_export(lambda *args, **options: bundle)
    main(["vgg16", "-t", "cpu-fp32"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "and at batch 1; height 95, width 131" in lines
    start = lines.index("coverage  8 of 14 branches reached")
    assert lines[start + 1 : start + 3] == [
        "never: relu_0 above 6, relu_1 above 6, relu_2 above 6, relu_3 above 6 and 2 more, see "
        "manifest.json",
        "left out: x with zeros: NaN",
    ]

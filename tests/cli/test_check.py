"""`kexport check`: an ONNX file against the rules of a device."""

import json
from pathlib import Path

import onnx
import onnx.parser
import pytest

from kexport.cli import main
from kexport.errors import GraphRefused

Capture = pytest.CaptureFixture[str]

CLEAN = "(float[2] x) => (float[2] y) { [act] y = Relu(x) }"
WRONG = """(float[2,3] x) => (float[2,1] y) <int64[1] axes = {1}>
{ [mean] y = ReduceMean(x, axes) }"""
OPEN = "(float[N] x) => (float[N] y) { [act] y = Relu(x) }"


def written(folder: Path, graph: str, opset: int = 13) -> str:
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g {graph}'
    onnx.save(onnx.parser.parse_model(text), folder / "model.onnx")
    return str(folder / "model.onnx")


def test_a_clean_graph_passes(tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", written(tmp_path, CLEAN), "--target", "jetson-nano-fp16"]) == 0
    out = capsys.readouterr().out
    assert "toolchain  TensorRT 8.2.1, JetPack 4.6.6" in out
    assert "findings   none" in out


def test_a_silent_violation_is_refused_and_explained(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, WRONG, 18)
    assert main(["check", path, "-t", "jetson-orin", "--jetpack", "5.1"]) == GraphRefused.exit_code
    captured = capsys.readouterr()
    assert "silent  axes-input" in captured.out
    assert "mean (ReduceMean): its axes are an input" in captured.out
    assert "all axes are reduced" in captured.out
    assert "source  https://github.com/onnx/onnx-tensorrt" in captured.out
    assert "breaks rules of TensorRT 8.5.2, JetPack 5.1.5" in captured.err
    assert "hint: use opset 17 or below" in captured.err
    assert main(["check", path, "-t", "jetson-orin", "--tensorrt", "10.3"]) == 0


def test_names_cannot_steer_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    path = Path(written(tmp_path, WRONG, 18))
    model = onnx.load(path)
    model.graph.node[0].name = "mean\x1b[2J\n\x9b31m\u202e[red]"
    onnx.save(model, path)
    assert main(["check", str(path), "-t", "jetson-orin", "--jetpack", "5.1"]) == 18
    captured = capsys.readouterr()
    assert r"mean\x1b[2J\x0a\x9b31m\u202e[red] (ReduceMean): its axes" in captured.out
    assert (captured.out + captured.err).replace("\n", "").isprintable()


def test_json_has_every_finding(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, WRONG, 18)
    assert main(["check", path, "-t", "trt", "--tensorrt", "8.6", "--json"]) == 18
    report = json.loads(capsys.readouterr().out)
    assert (report["device"], report["toolchain"]) == ("trt", "TensorRT 8.6")
    assert report["passed"] is False
    first = report["findings"][0]
    assert (first["rule"], first["severity"], first["node"]) == ("axes-input", "silent", "mean")


def test_a_warning_does_not_refuse(tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", written(tmp_path, OPEN), "-t", "trt", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert [row["rule"] for row in report["findings"]] == ["open-axis"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no ONNX at all, but long enough to be something", "is not a complete ONNX model"),
        (b"", "is not a complete ONNX model"),
        (None, "cannot be read: No such file"),
    ],
)
def test_other_files_are_refused(
    content: bytes | None, message: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    assert main(["check", str(path), "-t", "trt"]) == 5
    assert message in capsys.readouterr().err


def test_a_truncated_file_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path = Path(written(tmp_path, CLEAN))
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["check", str(path), "-t", "trt"]) == 5
    assert "is not a complete ONNX model" in capsys.readouterr().err


def test_a_folder_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", str(tmp_path), "-t", "trt"]) == 5
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("cpu", 2, "'cpu' runs onnxruntime, but the rules are TensorRT's"),
        ("jetson-nano-int8", 4, "cannot run int8"),
        ("jetson-oryn", 4, "unknown target 'jetson-oryn'"),
    ],
)
def test_a_target_without_rules_is_refused(
    target: str, status: int, message: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["check", written(tmp_path, CLEAN), "-t", target]) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (["jetson-thor"], "'jetson-thor' has no deep-learning", "jetson-orin or jetson-xavier"),
        (["jetson-orin-nano"], "'jetson-orin-nano' has no deep-learning", "or jetson-xavier"),
        (["jetson-orin"], "TensorRT 10.16.2, JetPack 7.2.2 does not drive", "--jetpack 6.2.1"),
    ],
)
def test_a_missing_accelerator_is_refused(
    said: list[str], message: str, hint: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["check", written(tmp_path, CLEAN), "--dla", "-t", *said]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert hint in err


def test_int8_graphs_are_checked_although_kexport_writes_none(tmp_path: Path) -> None:
    graph = """(float[4] x) => (float[4] z) <float s = {0.5}, int8 p = {0}>
    { [q] y = QuantizeLinear(x, s, p) [d] z = DequantizeLinear(y, s, p) }"""
    assert main(["check", written(tmp_path, graph), "-t", "jetson-orin-int8"]) == 0
    assert main(["check", written(tmp_path, graph), "-t", "jetson-tx2"]) == 18

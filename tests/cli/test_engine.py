"""The rows about engines in the result of `kexport export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from kexport import targets
from kexport.bundle.tensorrt import build_entry
from kexport.cli.tables.bundle import bundle_table
from kexport.cli.tables.table import show

SIZE = {"sha256": "0", "bytes": 1}
MANIFEST: dict[str, Any] = {
    "model": {"name": "vgg16", "weights": "random"},
    "target": {"name": "trt-fp16", "device": "trt", "opset": 17, "toolchain": "TensorRT 10.3"},
    "findings": [],
    "inputs": [{"name": "image", "dtype": "uint8", "shape": [1, 8, 8, 3], "color": "RGB"}],
    "preprocessing": {"mode": "caffe", "folded": True, "layers": []},
    "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, 9], "kind": "logits"}],
    "task": {"name": "classify", "output": "logits", "from_logits": True, "reason": None},
    "parity": {"images": 8, "outputs": {}},
    "files": {"model.onnx": SIZE},
    "build": {"builder": "tensorrt", "program": "build_engine.py"},
    "float32_nodes": [],
    "largest_value": None,
    "engine_check": None,
}


def said(capsys: pytest.CaptureFixture[str], **about: Any) -> list[str]:
    show(bundle_table(Path("out"), {**MANIFEST, **about}))
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_the_check_of_an_engine_that_the_device_builds_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    coverage = [
        {"said": "90 of 94 convolutions in INT8", "strays": [f"conv{i}: FP32" for i in range(4)]}
    ]
    check = {
        "builder": "TensorRT-RTX 1.7",
        "state": "built",
        "message": "",
        "bytes": 5_000_000,
        "layers": 7,
        "coverage": coverage,
    }
    lines = said(capsys, engine_check=check)
    first = lines.index("engine     to be built on the device")
    assert lines[first + 1 : first + 7] == [
        "TensorRT-RTX 1.7 builds it: 5.0 MB, 7 layers",
        "90 of 94 convolutions in INT8",
        *(f"not so: conv{i}: FP32" for i in range(3)),
        "and 1 more, see manifest.json",
    ]
    assert "next       on the device: python out/build_engine.py --verify" in lines


def test_the_reason_of_a_builder_that_refuses_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    check = {"builder": "TensorRT-RTX 1.7", "state": "refused", "message": "top (Erfc): no"}
    lines = said(capsys, engine_check=check)
    assert "refused by TensorRT-RTX 1.7: top (Erfc): no" in lines


def test_without_a_builder_only_the_device_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "engine     to be built on the device" in said(capsys, engine_check=None)
    without = said(capsys, build=None, engine_check=None)
    assert not any("engine" in line for line in without)


def test_a_board_with_an_old_python_builds_with_the_script(
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = {"builder": "tensorrt", "program": "build_engine.sh"}
    assert "next       on the device: sh out/build_engine.sh" in said(
        capsys, build=old, engine_check=None
    )


@pytest.mark.parametrize(
    ("target", "jetpack", "program"),
    [
        ("jetson-nano-fp16", None, "build_engine.sh"),
        ("jetson-xavier-fp16", "5.0", "build_engine.sh"),
        ("jetson-xavier-fp16", "5.1", "build_engine.py"),
        ("trt-fp16", None, "build_engine.py"),
    ],
)
def test_the_target_decides_the_program_that_builds(
    target: str, jetpack: str | None, program: str
) -> None:
    model = ir.Model(ir.Graph([], [], nodes=[]), ir_version=8)
    entry = build_entry(targets.find(target, jetpack=jetpack), model, ())
    assert entry is not None
    assert entry["program"] == program


def test_nodes_that_stay_float32_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [{"node": f"exp_{i}", "reason": "Exp in float16 loses digits"} for i in range(4)]
    lines = said(capsys, float32_nodes=nodes, largest_value={"tensor": "conv/Relu", "value": 812.4})
    first = lines.index("float32    exp_0: Exp in float16 loses digits")
    assert lines[first + 3 : first + 5] == [
        "and 1 more, see manifest.json",
        "largest    812.4 in conv/Relu, of 65504 that float16 holds",
    ]

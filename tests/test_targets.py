"""The targets: strict reading, stable names, helpful refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from kexport import targets
from kexport.errors import UnknownTarget
from kexport.targets.target import PRECISIONS, read_device

CPU = """\
name = "cpu"
description = "any CPU"
engine = "onnxruntime"
opset = 20
precisions = ["fp32"]
providers = ["CPUExecutionProvider"]

[source]
opset = "a page"
precisions = "a page"
providers = "a page"
"""
ENGINE_PROVIDERS = {
    "CPUExecutionProvider",
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
}


def canonical(device: targets.Device) -> str:
    """A device as its file must be written: this order, this spacing, facts with a source."""

    def row(key: str, value: Any) -> str:
        return f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}"

    keys = ("name", "description", "engine", "opset", "toolchain", "precisions", "providers")
    values = {key: getattr(device, key) for key in keys}
    rows = [row(key, value) for key, value in values.items() if value is not None]
    sources = [row(key, device.source[key]) for key in keys if key in device.source]
    return "\n".join([*rows, "", "[source]", *sources, ""])


def test_the_names_that_others_rely_on() -> None:
    assert {"cpu-fp32", "cuda-fp32", "cuda-fp16", "trt-fp32", "trt-fp16"} <= set(targets.names())


def test_a_target_is_what_its_device_says() -> None:
    target = targets.find("trt-fp16")
    assert (target.name, target.device, target.precision) == ("trt-fp16", "trt", "fp16")
    assert (target.engine, target.opset, target.toolchain) == ("tensorrt", 17, None)
    assert target.providers[0] == "TensorrtExecutionProvider"
    assert targets.find("cpu-fp32").providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("device", targets.devices(), ids=lambda device: device.name)
def test_each_file_is_in_canonical_form(device: targets.Device, root: Path) -> None:
    text = (root / "targets" / f"{device.name}.toml").read_text(encoding="utf-8")
    assert text == canonical(device)


@pytest.mark.parametrize("device", targets.devices(), ids=lambda device: device.name)
def test_each_device_makes_sense(device: targets.Device) -> None:
    assert 7 <= device.opset <= 26
    assert list(device.precisions) == sorted(device.precisions, key=PRECISIONS.index)
    assert set(device.providers) <= ENGINE_PROVIDERS
    assert device.providers[-1] == "CPUExecutionProvider"
    assert all(source.count("https://") == 1 for source in device.source.values())


@pytest.mark.parametrize("name", targets.names())
def test_each_target_stands_in_the_readme(name: str, root: Path) -> None:
    assert f"`{name}`" in (root / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("spelling", ["trt-fp16", "TRT-FP16", "trt_fp16", " trt-fp16 "])
def test_find_is_lenient_about_spelling(spelling: str) -> None:
    assert targets.find(spelling).name == "trt-fp16"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("trt-fp61", "has no precision 'fp61'", "say trt-fp32 or trt-fp16"),
        ("cpu-int8", "the device 'cpu' has no precision 'int8'", "say cpu-fp32"),
        ("cuda", "names a device and no precision", "say cuda-fp32 or cuda-fp16"),
        ("tensorrt-fp16", "no target is called 'tensorrt-fp16'", "did you mean 'trt-fp16'?"),
        ("cda", "no target is called 'cda'", "did you mean 'cuda'?"),
        ("toaster", "no target is called 'toaster'", "list them with: kexport targets"),
        ("", "no target is called ''", "list them with: kexport targets"),
    ],
)
def test_find_refuses_and_helps(name: str, message: str, hint: str) -> None:
    with pytest.raises(UnknownTarget, match=message) as caught:
        targets.find(name)
    assert caught.value.hint == hint


def test_a_file_in_order_is_read() -> None:
    device = read_device(CPU, "cpu")
    assert [target.name for target in device.targets] == ["cpu-fp32"]
    assert canonical(device) == CPU


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "cpu"', 'name = "gpu"', "the name 'gpu' is not the file's"),
        ("opset = 20", 'opset = "20"', "'opset' is not of type int"),
        ("opset = 20", "opset = true", "'opset' is not of type int"),
        ("opset = 20\n", "", "key 'opset' is missing"),
        ("opset = 20", "opset = 20\ncolour = 1", "unknown key 'colour'"),
        ('"onnxruntime"', '"openvino"', "unknown engine 'openvino'"),
        ('["fp32"]', '["fp31"]', "precisions must be some of fp32"),
        ('["fp32"]', "[]", "precisions must be some of fp32"),
        ('["fp32"]', '["fp32", "fp32"]', "a precision stands twice"),
        ('["CPUExecutionProvider"]', "[1]", "providers must be names"),
        ('["CPUExecutionProvider"]', "[]", "providers must be names"),
        ('opset = "a page"\n', "", "the fact 'opset' and its source do not both"),
        ("opset = 20", 'opset = 20\ntoolchain = "x"', "the fact 'toolchain' and its source"),
    ],
)
def test_anything_else_is_refused(old: str, new: str, message: str) -> None:
    assert old in CPU
    with pytest.raises(ValueError, match=message):
        read_device(CPU.replace(old, new, 1), "cpu")

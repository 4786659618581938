"""The targets: strict reading, stable names, the right toolchain, helpful refusals."""

import json
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnx.defs
import pytest
from support import module_at

from kexport import targets
from kexport.errors import KexportError, UnknownTarget
from kexport.targets.target import PRECISIONS, read_device
from kexport.targets.toml_table import begins, matches, read_table, release
from kexport.targets.toolchain import read_jetpack, read_tensorrt

CPU = """\
name = "cpu"
description = "any CPU"
engine = "onnxruntime"
precisions = ["fp32"]
providers = ["CPUExecutionProvider"]
opset = 20

[source]
precisions = "a page"
providers = "a page"
opset = "a page"
"""
JETPACK = """\
name = "9.0"
releases = ["9.0.1"]
l4t = "R1"
tensorrt = "10.3"
cuda = "12"
cudnn = "9"
python = "3.12"
ubuntu = "24.04"
note = "none"

[source]
releases = "a page"
l4t = "a page"
tensorrt = "a page"
cuda = "a page"
cudnn = "a page"
python = "a page"
ubuntu = "a page"
sbsa_tensorrt = "not known: no page says it"
note = "a page"
"""
ENGINE_PROVIDERS = {
    "CPUExecutionProvider",
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
}
FILES = sorted((Path(__file__).parents[2] / "targets").rglob("*.toml"))
READERS = {"jetpack": read_jetpack, "tensorrt": read_tensorrt, "targets": read_device}
LEGACY = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}
"""Operators from before ONNX 1.0 that TensorRT still imports."""


def canonical(table: Mapping[str, Any]) -> str:
    """Format a file: fixed spacing, and lists over 100 columns wrapped."""

    def scalar(value: Any) -> str:
        if isinstance(value, dict):
            inner = ", ".join(f"{key} = {scalar(entry)}" for key, entry in value.items())
            return f"{{ {inner} }}"
        return json.dumps(value, ensure_ascii=False)

    def row(key: str, value: Any) -> str:
        if not isinstance(value, list):
            return f"{key} = {scalar(value)}"
        items = [scalar(entry) for entry in value]
        line = f"{key} = [{', '.join(items)}]"
        if value and isinstance(value[0], dict):
            body = "\n".join(f"    {item}," for item in items)
        elif len(line) > 100:
            body = textwrap.fill(
                f"{', '.join(items)},", 100, initial_indent="    ", subsequent_indent="    "
            )
        else:
            return line
        return f"{key} = [\n{body}\n]"

    facts = {key: value for key, value in table.items() if key != "source"}
    rows = [row(key, value) for key, value in facts.items()]
    sources = [row(key, value) for key, value in table["source"].items()]
    return "\n".join([*rows, "", "[source]", *sources, ""])


def table_of(text: str) -> dict[str, Any]:
    from kexport.targets.toml_table import tomllib

    return tomllib.loads(text)


def file_id(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def test_the_names_that_others_rely_on() -> None:
    devices = "cpu arm64 cuda trt jetson-nano jetson-tx2 jetson-xavier jetson-orin-nano"
    assert set(f"{devices} jetson-orin jetson-thor rtx".split()) == {
        device.name for device in targets.devices()
    }
    assert {"cpu-fp32", "cuda-fp32", "cuda-fp16", "trt-fp32", "trt-fp16"} <= set(targets.names())
    assert {"arm64-fp32", "jetson-orin-fp16", "jetson-nano-fp16"} <= set(targets.names())


def test_a_target_is_what_its_device_says() -> None:
    target = targets.find("trt-fp16")
    assert (target.name, target.device, target.precision) == ("trt-fp16", "trt", "fp16")
    assert (target.engine, target.opset, str(target.toolchain)) == ("tensorrt", 17, "TensorRT 11.4")
    assert target.providers[0] == "TensorrtExecutionProvider"
    cpu = targets.find("cpu-fp32")
    assert (cpu.opset, cpu.toolchain, cpu.operators, cpu.uint8_input) == (18, None, None, True)
    assert cpu.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("file", FILES, ids=file_id)
def test_each_file_is_in_canonical_form(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text == canonical(table_of(text))


@pytest.mark.parametrize("file", FILES, ids=file_id)
def test_the_keys_stand_in_the_order_of_the_class(file: Path) -> None:
    table = table_of(file.read_text(encoding="utf-8"))
    row = READERS[file.parent.name](file.read_text(encoding="utf-8"), file.stem)
    order = [name for name in row.__slots__ if name in table]
    assert list(table) == order
    assert list(table["source"]) == [name for name in row.__slots__ if name in table["source"]]


@pytest.mark.parametrize("file", FILES, ids=file_id)
def test_each_fact_has_a_page(file: Path) -> None:
    source = table_of(file.read_text(encoding="utf-8"))["source"]
    for fact, said in source.items():
        assert said.count("https://") == 1 or said.startswith("not known"), fact


@pytest.mark.parametrize("device", targets.devices(), ids=lambda device: device.name)
def test_each_device_makes_sense(device: targets.Device) -> None:
    assert all(13 <= target.opset <= 20 for target in targets.of_device(device))
    for precisions in (device.precisions, device.hardware or ()):
        assert list(precisions) == sorted(precisions, key=PRECISIONS.index)
    assert set(device.providers) <= ENGINE_PROVIDERS
    assert device.providers[-1] == "CPUExecutionProvider"
    assert (device.engine != "onnxruntime") == bool(targets.toolchains(device))
    assert (device.engine == "tensorrt_rtx") == bool(device.compute_capabilities)


@pytest.mark.parametrize("device", targets.devices(), ids=lambda device: device.name)
def test_each_toolchain_of_a_device_is_found_by_its_versions(device: targets.Device) -> None:
    releases = {version for row in targets.jetpacks() for version in row.releases}
    assert set(device.jetpacks or ()) <= releases
    assert set(device.tensorrts or ()) <= {row.name for row in targets.tensorrts()}
    name = targets.of_device(device)[0].name
    for chain in targets.toolchains(device):
        found = targets.find(name, jetpack=chain.jetpack, tensorrt=chain.tensorrt)
        assert found.toolchain is not None
        assert (found.toolchain.rules, found.toolchain.bundle) == (chain.rules, chain.bundle)


def test_every_jetpack_runs_on_a_device() -> None:
    run = {version for device in targets.devices() for version in device.jetpacks or ()}
    assert {version for row in targets.jetpacks() for version in row.releases} == run
    names = {device.name for device in targets.devices()}
    for row in targets.jetpacks():
        assert list(row.releases) == sorted(row.releases, key=release)
        assert set(row.sbsa_devices or ()) <= names


@pytest.mark.parametrize("row", targets.tensorrts(), ids=lambda row: row.name)
def test_each_row_of_tensorrt_makes_sense(row: targets.TensorRT) -> None:
    assert row.releases[0] == row.name
    assert 13 <= row.opset <= row.opset_cap
    assert ("uint8" in row.types) == row.uint8_input
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    assert set(row.operators) <= known | LEGACY
    for name in row.constant_inputs:
        operator, formal = name.split(".")
        schemas = onnx.defs.get_all_schemas_with_history()
        assert any(
            formal == given.name for schema in schemas if schema.name == operator
            for given in schema.inputs
        ), name  # fmt: skip


def test_a_newer_tensorrt_reads_more() -> None:
    rows = targets.tensorrts()
    for older, newer in pairwise(rows):
        assert release(older.releases[-1]) < release(newer.releases[0])
        assert set(older.operators) <= set(newer.operators)
        assert older.opset_cap <= newer.opset_cap
    first = {row.name: set(row.operators) for row in rows}
    assert "LayerNormalization" in first["8.6"] - first["8.5"]
    assert "HardSwish" in first["8.4"] - first["8.2"]
    assert {"Gelu", "Mish"} <= first["10.0"] - first["8.6"]
    assert "QLinearConv" not in first["11.0"]


@pytest.mark.parametrize("name", targets.names())
def test_each_target_stands_in_the_readme(name: str, root: Path) -> None:
    assert f"`{name}`" in (root / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("spelling", ["trt-fp16", "TRT-FP16", "trt_fp16", " trt-fp16 "])
def test_find_is_lenient_about_spelling(spelling: str) -> None:
    assert targets.find(spelling).name == "trt-fp16"


@pytest.mark.parametrize(
    ("name", "jetpack", "tensorrt", "toolchain", "opset"),
    [
        ("jetson-orin-fp16", None, None, "TensorRT 10.16.2, JetPack 7.2.2", 17),
        ("jetson-orin-fp16", "6.2.1", None, "TensorRT 10.3.0, JetPack 6.2.1", 17),
        ("jetson-orin-fp16", "5.1", None, "TensorRT 8.5.2, JetPack 5.1.5", 17),
        ("jetson-orin-fp16", "5", None, "TensorRT 8.5.2, JetPack 5.1.5", 17),
        ("jetson-orin-fp16", "5.0", None, "TensorRT 8.4.1, JetPack 5.0.2", 13),
        ("jetson-orin-fp16", None, "10.3", "TensorRT 10.3.0, JetPack 6.2.1", 17),
        ("jetson-orin-fp16", None, "10.16.2.10", "TensorRT 10.16.2, JetPack 7.2.2", 17),
        ("jetson-orin-fp16", None, "11", "TensorRT 11.4.1, JetPack 7.2.2", 17),
        ("jetson-orin-fp16", "7.2.2", "11.4", "TensorRT 11.4.1, JetPack 7.2.2", 17),
        ("jetson-nano-fp32", None, None, "TensorRT 8.2.1, JetPack 4.6.6", 13),
        ("jetson-thor-fp16", "7.0", None, "TensorRT 10.13, JetPack 7.0", 17),
        ("trt-fp32", None, "8.6.1", "TensorRT 8.6", 17),
        ("trt-fp32", None, "10", "TensorRT 10.16", 17),
    ],
)
def test_the_toolchain_asked_for(
    name: str, jetpack: str | None, tensorrt: str | None, toolchain: str, opset: int
) -> None:
    target = targets.find(name, jetpack=jetpack, tensorrt=tensorrt)
    assert (str(target.toolchain), target.opset) == (toolchain, opset)
    assert target.uint8_input == (opset > 13)


@pytest.mark.parametrize(
    ("name", "tensorrt", "opset", "halved"),
    [
        ("trt-int8", "8.6", 17, False),
        ("trt-int8", "10.0", 19, True),
        ("trt-int8", None, 19, True),
        ("trt-fp16", None, 17, False),
        ("rtx-int8", None, 19, True),
        ("jetson-orin-int8", "10.3", 19, True),
        ("jetson-xavier-int8", "8.2", 13, False),
        ("cpu-int8", None, 18, False),
    ],
)
def test_int8_has_float16_scales_from_tensorrt_10_on(
    name: str, tensorrt: str | None, opset: int, halved: bool
) -> None:
    target = targets.find(name, tensorrt=tensorrt)
    assert (target.opset, target.half_rest) == (opset, halved)
    assert target.rules is None or not targets.find(name, tensorrt=tensorrt, opset=13).half_rest


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("trt-fp61", "has no precision 'fp61'", "choose trt-fp32 or trt-fp16 or trt-int8"),
        ("cpu-fp16", "the device 'cpu' has no precision 'fp16'", "choose cpu-fp32 or cpu-int8"),
        (
            "jetson-nano-int8",
            "cannot run int8: no INT8 and no FP8 on SM 5.3",
            "can is jetson-nano-fp16",
        ),
        (
            "jetson-tx2-fp8",
            "cannot run fp8: no INT8 and no FP8 on SM 6.2",
            "can is jetson-tx2-fp16",
        ),
        ("jetson-orin-fp8", "cannot run fp8: no FP8 and no FP4", "can is jetson-orin-int8"),
        ("jetson-xavier-fp8", "cannot run fp8: it computes in fp32, fp16, int8", "xavier-int8"),
        ("jetson-thor-fp8", "kexport writes no fp8 for 'jetson-thor'", "or jetson-thor-int8"),
        ("cuda", "names a device and no precision", "choose cuda-fp32 or cuda-fp16"),
        ("tensorrt-fp16", "unknown target 'tensorrt-fp16'", "did you mean 'trt-fp16'?"),
        ("cda", "unknown target 'cda'", "did you mean 'cuda'?"),
        ("toaster", "unknown target 'toaster'", "list them with: kexport targets"),
        ("", "unknown target ''", "list them with: kexport targets"),
    ],
)
def test_find_refuses_and_helps(name: str, message: str, hint: str) -> None:
    with pytest.raises(UnknownTarget, match=message) as caught:
        targets.find(name)
    assert (caught.value.hint or "").endswith(hint)


@pytest.mark.parametrize("name", ["jetson-orin", "jetson-orin-int8", "trt-fp8", "jetson-thor-fp8"])
def test_a_place_needs_no_precision_that_kexport_writes(name: str) -> None:
    platform = targets.place(name)
    assert name in (platform.device.name, f"{platform.device.name}-{platform.precision}")


def test_a_hardware_precision_that_is_none_of_the_device() -> None:
    with pytest.raises(KexportError, match="cannot run int8"):
        targets.place("jetson-nano-int8")


def test_a_file_in_order_is_read() -> None:
    assert read_device(CPU, "cpu").opset == 20
    assert read_jetpack(JETPACK, "9.0").sbsa_tensorrt is None


def test_a_fact_that_is_left_out_must_say_that_it_is_not_known() -> None:
    with pytest.raises(ValueError, match="the fact 'sbsa_tensorrt' and its source"):
        read_jetpack(JETPACK.replace("not known: no page says it", "a page"), "9.0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "cpu"', 'name = "gpu"', "the name 'gpu' is not the file's"),
        ("opset = 20", 'opset = "20"', "'opset' is not of type int"),
        ("opset = 20", "opset = true", "'opset' is not of type int"),
        ('engine = "onnxruntime"\n', "", "key 'engine' is missing"),
        ("opset = 20", "opset = 20\ncolour = 1", "unknown key 'colour'"),
        ('"onnxruntime"', '"openvino"', "unknown engine 'openvino'"),
        ('["fp32"]', '["fp31"]', "precisions must be some of fp32"),
        ('["fp32"]', "[]", "precisions must be some of fp32"),
        ('["fp32"]', '["fp32", "fp32"]', "a precision stands twice"),
        ('["CPUExecutionProvider"]', "[1]", "providers must be names"),
        ('["CPUExecutionProvider"]', "[]", "providers must be names"),
        ('opset = "a page"\n', "", "the fact 'opset' and its source do not both"),
        ("opset = 20", 'opset = 20\nsm = "8.7"', "the fact 'sm' and its source"),
        ("opset = 20\n", "", "the fact 'opset' and its source"),
    ],
)
def test_anything_else_is_refused(old: str, new: str, message: str) -> None:
    assert old in CPU
    with pytest.raises(ValueError, match=message):
        read_device(CPU.replace(old, new, 1), "cpu")


def test_a_device_says_one_thing_about_its_opset() -> None:
    both = CPU.replace("opset = 20", 'jetpacks = ["6.2"]\nopset = 20', 1)
    with pytest.raises(ValueError, match="one of jetpacks, tensorrts, rtx_releases, opset"):
        read_device(f'{both}jetpacks = "a page"\n', "cpu")


def test_a_precision_must_be_of_the_hardware() -> None:
    text = CPU.replace("opset = 20", 'hardware = ["fp16"]\nopset = 20', 1)
    with pytest.raises(ValueError, match="a precision is none of the hardware's"):
        read_device(f'{text}hardware = "a page"\n', "cpu")


def test_versions() -> None:
    assert release("10.3") > release("8.6.2")
    assert begins("5.1", "5.1.4")
    assert not begins("5.1.4", "5.1")
    assert not begins("5.1", "5.10")
    assert matches("5.1.4", "5.1")
    with pytest.raises(ValueError, match="key 'source' is missing"):
        read_table("", "x", {})


def test_the_page_is_what_the_data_say(root: Path) -> None:
    make_targets = module_at(root / "docs/make_targets.py")
    said = (root / "docs/targets.md").read_text(encoding="utf-8")
    assert said == make_targets.page(), "run: python docs/make_targets.py"

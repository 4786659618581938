"""`kexport models` and `kexport targets`: the tables, and the same as JSON."""

import json

import pytest

from kexport import targets
from kexport.cli import main
from kexport.cli.tables.table import headed, show
from kexport.zoo import ZOO

Capture = pytest.CaptureFixture[str]


def test_models_lists_all_applications(capsys: Capture) -> None:
    assert main(["models"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "keras.applications", "image", "preprocessing"]
    assert [row.split()[0] for row in rows] == list(ZOO)
    assert len(rows) == 40
    (row,) = [row for row in rows if row.startswith("inception_v3 ")]
    assert row.split() == ["inception_v3", "InceptionV3", "299", "x", "299", "tf:", "-1..1"]


def test_json_has_all_models(capsys: Capture) -> None:
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert list(rows) == list(ZOO)
    assert rows["resnet50"] == {
        "name": "resnet50",
        "builder": "ResNet50",
        "size": 224,
        "mode": "caffe",
        "inside": False,
    }
    assert rows["convnext_tiny"]["inside"] is True


def test_targets_lists_all_targets(capsys: Capture) -> None:
    assert main(["targets"]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == list(targets.names())


@pytest.mark.parametrize("name", ["trt", "TRT", "trt-fp16"])
def test_a_device_is_shown_with_sources(name: str, capsys: Capture) -> None:
    assert main(["targets", name]) == 0
    out = capsys.readouterr().out
    assert "trt-fp32, trt-fp16" in out
    assert out.count("source: ") == 3
    (trt,) = [device for device in targets.devices() if device.name == "trt"]
    chains = targets.toolchains(trt)
    assert [line.split()[0] for line in out.splitlines()[-len(chains) :]] == [
        chain.tensorrt for chain in chains
    ]


def test_a_device_is_shown_with_its_toolchains(capsys: Capture) -> None:
    assert main(["targets", "jetson-xavier"]) == 0
    out = capsys.readouterr().out
    assert "Jetson AGX Xavier 64GB: 64 GB, DLA cores: 2" in out
    assert "hardware    fp32, fp16, int8" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["5.0.2", "8.4.1", "11.4", "8.4.1", "3.8", "20.04", "13", "of", "13", "float32"] in rows
    assert ["5.1.5", "8.5.2", "11.4", "8.6.0", "3.8", "20.04", "17", "of", "17", "uint8"] in rows
    assert main(["targets", "jetson-orin"]) == 0
    assert "3.10     22.04    17, int8 19 of 20   uint8" in capsys.readouterr().out


def test_a_toolchain_is_shown_with_sources(capsys: Capture) -> None:
    assert main(["targets", "jetson-orin", "--jetpack", "6.2"]) == 0
    out = capsys.readouterr().out
    assert "TensorRT 10.3.0, JetPack 6.2.1" in out
    assert "opset_cap            20" in out
    assert "not found for 10.3 to 10.14" in out
    assert main(["targets", "jetson-orin", "--jetpack", "6.2", "--json"]) == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    (chain,) = device["toolchains"]
    assert (chain["jetpack"], chain["bundle"]["cuda"]) == ("6.2.1", "12.6")
    assert "Gelu" in chain["rules"]["operators"]


def test_a_toolchain_without_a_device_is_refused(capsys: Capture) -> None:
    assert main(["targets", "--jetpack", "6.2"]) == 2
    assert "a toolchain needs a device" in capsys.readouterr().err


def test_json_has_all_targets(capsys: Capture) -> None:
    assert main(["targets", "--json"]) == 0
    devices = json.loads(capsys.readouterr().out)["devices"]
    assert [name for device in devices for name in device["targets"]] == list(targets.names())
    assert main(["targets", "cpu-fp32", "--json"]) == 0
    (cpu,) = json.loads(capsys.readouterr().out)["devices"]
    assert (cpu["name"], cpu["opset"], cpu["toolchains"]) == ("cpu", 18, [])


def test_a_narrow_terminal_wraps_and_cuts_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["targets", "cpu"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    (cpu,) = [device for device in targets.devices() if device.name == "cpu"]
    url = cpu.source["providers"]
    assert url in "".join(line[16:] for line in out.splitlines())


def test_no_escape_codes_in_a_pipe(capsys: Capture) -> None:
    main(["targets", "cpu"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_a_column_without_a_value_is_left_out(capsys: Capture) -> None:
    table = headed("device", "JetPack", "opset")
    table.add_row("cpu", "", "18")
    table.add_row("trt", "", "")
    show(table)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in (lines[0], *lines[2:])] == [
        ["device", "opset"],
        ["cpu", "18"],
        ["trt"],
    ]

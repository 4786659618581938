"""`kexport models` and `kexport targets`: the tables, and the same as JSON."""

import json

import pytest

from kexport import targets
from kexport.cli import main
from kexport.zoo import ZOO

Capture = pytest.CaptureFixture[str]


def test_models_lists_all_forty(capsys: Capture) -> None:
    assert main(["models"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "keras.applications", "picture", "preprocessing"]
    assert [row.split()[0] for row in rows] == list(ZOO)
    assert len(rows) == 40
    (row,) = [row for row in rows if row.startswith("inception_v3 ")]
    assert row.split() == ["inception_v3", "InceptionV3", "299", "x", "299", "tf:", "-1..1"]


def test_models_as_json(capsys: Capture) -> None:
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


def test_targets_lists_all(capsys: Capture) -> None:
    assert main(["targets"]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == list(targets.names())


@pytest.mark.parametrize("name", ["trt", "TRT", "trt-fp16"])
def test_one_device_with_the_sources_of_its_facts(name: str, capsys: Capture) -> None:
    assert main(["targets", name]) == 0
    out = capsys.readouterr().out
    assert "trt-fp32, trt-fp16" in out
    assert "opset       17" in out
    assert out.count("source: ") == 3
    assert "toolchain" not in out


def test_targets_as_json(capsys: Capture) -> None:
    assert main(["targets", "--json"]) == 0
    devices = json.loads(capsys.readouterr().out)["devices"]
    assert [name for device in devices for name in device["targets"]] == list(targets.names())
    assert main(["targets", "cpu-fp32", "--json"]) == 0
    (cpu,) = json.loads(capsys.readouterr().out)["devices"]
    assert (cpu["name"], cpu["opset"], cpu["toolchain"]) == ("cpu", 18, None)


def test_a_narrow_terminal_loses_nothing(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["targets", "cpu"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    url = targets.devices()[0].source["providers"]
    assert url in "".join(line[12:] for line in out.splitlines())


def test_no_escape_codes_in_a_pipe(capsys: Capture) -> None:
    main(["targets", "cpu"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())

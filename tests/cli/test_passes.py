"""`kexport passes`: the list of passes for a target, as a table and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import module_at

from kexport import targets
from kexport.cli import main
from kexport.options.input_image import InputImage
from kexport.passes.pipeline import GraphFormat, PassArguments, phases_for

Capture = pytest.CaptureFixture[str]


def listed(capsys: Capture, *words: str) -> dict[str, list[str]]:
    """Return the names of the steps by phase, from the JSON."""
    assert main(["passes", *words, "--json"]) == 0
    phases = json.loads(capsys.readouterr().out)["phases"]
    return {phase["name"]: [step["name"] for step in phase["steps"]] for phase in phases}


@pytest.mark.parametrize("name", targets.names())
def test_json_has_every_phase_in_order(name: str, capsys: Capture) -> None:
    target = targets.find(name)
    every = PassArguments(images=(InputImage("none"),), top_k=("scores", 1))
    wanted = phases_for(GraphFormat.of(target), every)
    found = listed(capsys, "--target", name)
    assert list(found) == [phase.name for phase in wanted]
    assert list(found.values()) == [[step.name for step in phase.members] for phase in wanted]


def test_the_table_has_one_row_per_step(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["passes", "--target", "cpu-fp32"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["phase", "pass", "purpose"]
    assert rows[0].startswith("1 simplify ")
    assert rows[0].endswith('or leave it open as "batch".')
    assert rows[15].split()[:5] == ["2", "add", "best", "classes", "add_top_k"]
    assert [row.split()[-3:] for row in rows[-2:]] == [
        ["of", "every", "value."],
        ["graph", "with", "onnx.checker."],
    ]


def test_measurements_are_marked(capsys: Capture) -> None:
    assert main(["passes", "--target", "cpu-int8"]) == 0
    out = capsys.readouterr().out
    assert "3 quantize           calibrate* " in out
    assert main(["passes", "--target", "cpu-int8", "--json"]) == 0
    phases = json.loads(capsys.readouterr().out)["phases"]
    kinds = {s["name"]: s["kind"] for phase in phases for s in phase["steps"]}
    assert [name for name, kind in kinds.items() if kind == "measurement"] == [
        "calibrate",
        "quantize",
    ]


def test_the_toolchain_decides_the_passes(capsys: Capture) -> None:
    old, new = (
        listed(capsys, "--target", "jetson-xavier-int8", "--jetpack", "5"),
        listed(capsys, "--target", "trt-int8", "--tensorrt", "11"),
    )
    assert "convert to float16" in new
    assert "convert to float16" not in old


def test_every_step_has_a_purpose(capsys: Capture) -> None:
    for name in ("cpu-fp32", "cpu-int8", "trt-fp32", "trt-fp16", "trt-int8"):
        assert main(["passes", "--target", name, "--json"]) == 0
        phases = json.loads(capsys.readouterr().out)["phases"]
        for step in (step for phase in phases for step in phase["steps"]):
            assert step["purpose"].endswith("."), step
            assert step["purpose"][0].isupper(), step


def test_an_unknown_target_is_refused(capsys: Capture) -> None:
    assert main(["passes", "--target", "toaster"]) == 4
    assert "toaster" in capsys.readouterr().err


def test_it_loads_neither_keras_nor_tensorflow() -> None:
    code = (
        "from kexport.cli import main; assert main(['passes', '--target', 'trt-int8']) == 0\n"
        "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"keras", "tensorflow", "tf2onnx", "onnxruntime", "h5py"}


def test_the_page_is_up_to_date(root: Path) -> None:
    make_passes = module_at(root / "docs/make_passes.py")
    written = (root / "docs/passes.md").read_text(encoding="utf-8")
    assert written == make_passes.page(), "run: python docs/make_passes.py"

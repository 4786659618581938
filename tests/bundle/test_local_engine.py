"""Exports on a machine with TensorRT and a GPU: the bundle builds and verifies its own engine.

Both are fakes, here and in the build process, which imports `tensorrt` from a folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cpp_verifiers import Export
from fake_tensorrt import MARK, FakeCuda
from support import healthy, small_classifier

from kexport import runtime, targets
from kexport.api import Bundle
from kexport.bundle.local_engine import build_and_verify_engine, device_is_here
from kexport.cli.tables.bundle import bundle_table
from kexport.cli.tables.table import show
from kexport.errors import GraphRefused, ParityFailed
from kexport.options.application import Recipe
from kexport.runtime import gpu

TF = Recipe(preprocess="tf")

STAND_IN = """
import sys
import fake_tensorrt

CUDA = fake_tensorrt.FakeCuda("{name}", {capability})
sys.modules[__name__] = fake_tensorrt.module("{version}", CUDA)
if "runtime.gpu" in sys.modules:
    sys.modules["runtime.gpu"]._loaded = lambda: CUDA
    {fault}
"""

WRONG = "fake_tensorrt.Engine.get_tensor_name = lambda *_: 'unknown'"
DOUBLED = """run = fake_tensorrt.Engine._answers
    fake_tensorrt.Engine._answers = lambda *about: [2 * array for array in run(*about)]"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make this a machine with a GPU and a TensorRT."""

    def become(
        version: str = "11.4.0",
        name: str = "RTX 4000",
        capability: tuple[int, int] = (8, 9),
        fault: str = "",
    ) -> None:
        folder = tmp_path / "modules"
        folder.mkdir(exist_ok=True)
        text = STAND_IN.format(version=version, name=name, capability=capability, fault=fault)
        (folder / "tensorrt.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
        monkeypatch.syspath_prepend(folder)
        paths = [str(folder), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        cuda = FakeCuda(name, capability)
        monkeypatch.setattr(gpu, "_loaded", lambda: cuda)

    return become


@pytest.fixture
def made(export_and_verify: Export) -> Callable[..., Bundle]:
    """Export a small classifier."""

    def make(folder: Path, target: str = "trt-fp16", **about: str) -> Bundle:
        model = healthy(small_classifier(), "tf")
        return export_and_verify(model, target, output=folder, recipe=TF, **about)

    return make


def test_the_engine_is_built_and_verified_with_the_bundle(made, machine, tmp_path, capsys) -> None:
    machine()
    bundle = made(tmp_path / "out")
    assert bundle.engine is not None
    plan = (bundle.path / "engine.plan").read_bytes()
    assert plan.startswith(MARK)
    assert len(plan) == bundle.engine.bytes
    record = json.loads((bundle.path / "engine.json").read_text(encoding="utf-8"))
    assert record == bundle.engine.record
    assert (record["place"]["gpu"], record["flags"]["strongly_typed"]) == ("RTX 4000", True)
    assert bundle.engine.verification["passed"]
    assert bundle.engine.verification["engine"] == "tensorrt 11.4.0, RTX 4000"
    assert "engine.plan" not in bundle.manifest["files"]
    assert runtime.load(bundle.path).engine.name == "tensorrt 11.4.0, RTX 4000"
    show(bundle_table(bundle.path, bundle.manifest, bundle.engine))
    said = capsys.readouterr().out
    assert "kB for RTX 4000, by tensorrt 11.4.0; the same images on it:" in said
    assert "on the device" not in said


@pytest.mark.parametrize(
    ("target", "about", "here"),
    [
        ("trt-fp16", {"tensorrt": "11"}, True),
        ("trt-fp16", {"tensorrt": "10.3"}, False),
        ("trt-fp32", {}, True),
        ("jetson-orin-fp16", {"tensorrt": "11"}, False),
        ("rtx-fp16", {}, False),
        ("cuda-fp16", {}, False),
    ],
)
def test_only_a_matching_machine_builds_the_engine(machine, target, about, here) -> None:
    machine()
    assert device_is_here(targets.find(target, **about).platform) == here


def test_a_board_is_identified_by_its_compute_capability(machine) -> None:
    platform = targets.find("jetson-orin-fp16", jetpack="6.2").platform
    machine("10.3.0", "Orin", (8, 7))
    assert device_is_here(platform)


def test_without_a_gpu_or_tensorrt_the_device_builds_it(
    made, machine, tmp_path, monkeypatch
) -> None:
    platform = targets.find("trt-fp16").platform
    assert not device_is_here(platform)
    machine()
    monkeypatch.setattr(gpu, "_loaded", lambda: FakeCuda(gpus=0))
    assert not device_is_here(platform)
    bundle = made(tmp_path / "out")
    assert bundle.engine is None
    assert not (bundle.path / "engine.plan").exists()


def test_an_engine_outside_the_tolerances_is_not_published(made, machine, tmp_path) -> None:
    machine(fault=DOUBLED)
    with pytest.raises(ParityFailed, match=r"of the engine for small differs from .* is allowed"):
        made(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["modules"]


def test_nothing_is_published_if_the_build_fails(made, machine, tmp_path) -> None:
    machine(fault=WRONG)
    with pytest.raises(GraphRefused, match="no engine was built for small on this GPU"):
        made(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["modules"]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", "it took longer than 0.5 s"),
        ("import os; os.abort()", "it ended with signal 6"),
    ],
)
def test_a_build_that_hangs_or_crashes_is_refused(
    tmp_path: Path, program: str, message: str
) -> None:
    (tmp_path / "build_engine.py").write_text(program, encoding="utf-8")
    with pytest.raises(GraphRefused, match=message):
        build_and_verify_engine(tmp_path, "x", seconds=0.5 if "sleep" in program else 60)

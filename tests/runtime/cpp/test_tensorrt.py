"""The TensorRT engine in C++, on headers and an engine of the tests instead of NVIDIA's."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kexport.runtime.engine_record import (
    EngineRecord,
    Environment,
    Flags,
    hash_of_model,
    read_record,
    write_engine,
)

NUMBERS = ("10.3.0", "Fake", "8.7")


@pytest.fixture
def device(sanitized):
    """Return the programs built for TensorRT, in an environment with the fake driver."""
    nvidia = sanitized.folder.parent / "nvidia"
    return replace(sanitized, environment={"LD_LIBRARY_PATH": str(nvidia)})


@pytest.fixture
def built(bundle: Path) -> Callable[..., Path]:
    """Return a function that adds an engine with the given record to the bundle."""

    def make(
        plan: bytes = b"mean_colour", flags: dict[str, Any] | None = None, **place: Any
    ) -> Path:
        here = {
            "module": "tensorrt",
            "version": "10.3.0",
            "platform": f"{platform.system()} {platform.machine()}",
            "gpu": "Fake",
            "compute_capabilities": ("8.7",),
        }
        environment = Environment(**{**here, **place})
        record = EngineRecord(hash_of_model(bundle), "", environment, Flags(**flags or {}))
        write_engine(bundle, plan, record)
        return bundle

    return make


@pytest.mark.parametrize("options", [(), ("--device", "tensorrt")])
def test_golden_images(device, built, options: tuple[str, ...]):
    done = device.run("kexport-verify", built(), *options)
    assert (done.status, done.err) == (0, "")
    assert "4 samples on tensorrt 10.3.0, Fake" in done.out


def test_model_onnx_beside_an_engine(device, built):
    done = device.run("kexport-verify", built(), "--device", "cpu")
    assert (done.status, done.err) == (0, "")
    assert "samples on onnxruntime" in done.out


def test_memory_of_the_caller(device, built):
    done = device.run("driver", "run", built())
    assert len(done.raw) == 4 * 5 * 4
    assert device.run("driver", "threads", built(), 4).out == "0 wrong\n"


def test_no_gpu(device, built):
    device.environment["FAKE_NO_GPU"] = "1"
    done = device.run("kexport-verify", built())
    assert done.status == 0
    assert done.err.startswith("warning: engine.plan does not run here, so model.onnx runs in ONNX")
    assert "there is no NVIDIA GPU to run on: cuInit failed with 100: no CUDA-capable" in done.err
    done = device.run("kexport-verify", built(), "--device", "tensorrt")
    assert (done.status, done.out) == (17, "")


def test_built_without_tensorrt(plain, built):
    done = plain.run("kexport-verify", built())
    assert done.status == 0
    assert "ONNX Runtime: this program was built without TensorRT" in done.err
    done = plain.run("kexport-verify", built(), "--device", "tensorrt")
    assert (done.status, done.out) == (17, "")
    assert "hint: configure it with: cmake -D KEXPORT_TENSORRT=ON" in done.err


MADE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"module": "tensorrt_rtx"}, {}),
    ({"platform": "Linux riscv"}, {}),
    ({"version": "10.3.1"}, {}),
    ({"version": "10.2.0"}, {"version_compatible": True}),
    ({"version": "10.4.0"}, {"version_compatible": True}),
    ({"version": "8.6.1"}, {"version_compatible": True}),
    ({"version": "8.6.1"}, {}),
    ({"gpu": "Orin"}, {}),
    ({"gpu": "Orin"}, {"hardware_compatibility": "same_compute_capability"}),
    ({"gpu": "A", "compute_capabilities": ("8.0",)}, {"hardware_compatibility": "ampere_plus"}),
    ({"gpu": "A", "compute_capabilities": ("8.0",)}, {}),
    ({"gpu": None, "compute_capabilities": ("8.6", "8.9")}, {}),
    ({"gpu": None, "compute_capabilities": ("8.6", "8.7"), "platform": "Linux riscv"}, {}),
]


@pytest.mark.parametrize(("place", "flags"), MADE)
def test_engine_records_are_judged_as_in_python(
    device, built, place: dict[str, Any], flags: dict[str, Any]
):
    bundle = built(flags=flags, **place)
    version, gpu, capability = NUMBERS
    system = f"{platform.system()} {platform.machine()}"
    here = Environment("tensorrt", version, system, gpu, (capability,))
    fault = read_record(bundle).fault(hash_of_model(bundle), here)
    done = device.run("kexport-verify", bundle)
    if fault is None:
        assert done.status == 0
    else:
        assert (done.status, done.out) == (14, "")
        assert done.err.splitlines()[0] == f"error: {bundle}/engine.plan cannot run here: {fault}"


def test_another_model(device, built):
    bundle = built()
    record = (bundle / "engine.json").read_text()
    other = record.replace(hash_of_model(bundle), "0" * 64)
    (bundle / "engine.json").write_text(other)
    done = device.run("kexport-verify", bundle)
    assert done.status == 14
    assert "model.onnx is not the one that it was built from" in done.err
    assert "hint: build it here with: python build_engine.py" in done.err


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 1}'])
def test_a_malformed_record(device, built, content: str):
    bundle = built()
    (bundle / "engine.json").write_text(content)
    done = device.run("kexport-verify", bundle)
    assert done.status == 14
    assert "engine.json is not one that kexport wrote" in done.err


def test_a_plan_that_is_not_the_recorded_one(device, built):
    bundle = built()
    (bundle / "engine.plan").write_bytes(b"mean_colour, later")
    done = device.run("kexport-verify", bundle)
    assert done.status == 14
    assert "engine.plan is not the engine that engine.json describes" in done.err


@pytest.mark.parametrize(
    ("plan", "status", "reason"),
    [
        (b"resnet", 14, "engine.plan: the plan is none of mine"),
        (b"mean_colour broken", 14, "failed on uint8 [1, 8, 6, 3]: the plan is broken"),
    ],
)
def test_an_engine_on_which_tensorrt_fails(device, built, plan: bytes, status: int, reason: str):
    done = device.run("kexport-verify", built(plan))
    assert (done.status, done.out) == (status, "")
    assert reason in done.err


def test_the_plan_is_hashed_as_python_does(built):
    record = Path(built() / "engine.json").read_text()
    assert hashlib.sha256(b"mean_colour").hexdigest() in record

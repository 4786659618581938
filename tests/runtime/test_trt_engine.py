"""The TensorRT engine, on fakes of TensorRT and CUDA's driver: no GPU is needed or tested."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_tensorrt as fake
import numpy as np
import pytest

from kexport.runtime.engine_record import (
    EngineRecord,
    Environment,
    Flags,
    hash_of_model,
    platform_here,
    read_record,
    write_engine,
)
from kexport.runtime.errors import BadInput, BundleRefused, EngineMissing
from kexport.runtime.gpu import Cuda
from kexport.runtime.manifest import read_manifest
from kexport.runtime.session import Session, load
from kexport.runtime.trt_engine import TrtEngine

OUTPUTS = ("probabilities", "logits", "features")
ENVIRONMENT = Environment("tensorrt", "10.3.0", platform_here(), "Orin", ("8.7",))


def with_engine(bundle: Path, environment: Environment = ENVIRONMENT, **flags: Any) -> Path:
    plan = fake.MARK + (bundle / "model.onnx").read_bytes()
    write_engine(bundle, plan, EngineRecord(hash_of_model(bundle), "", environment, Flags(**flags)))
    return bundle


@pytest.fixture
def gpu() -> fake.FakeCuda:
    return fake.FakeCuda()


@pytest.fixture
def opened(gpu: fake.FakeCuda) -> Iterator[Callable[[Path], TrtEngine]]:
    made = []

    def open_engine(bundle: Path, version: str = "10.3.0") -> TrtEngine:
        trt = fake.module(version, gpu)
        made.append(TrtEngine(bundle, read_manifest(bundle), trt=trt, cuda=Cuda(gpu)))
        return made[-1]

    yield open_engine
    for engine in made:
        engine.close()
    assert not gpu.device
    assert not gpu.pinned
    assert set(gpu.streams) == {0}


def test_outputs_equal_those_of_onnx_runtime(build, opened, sample_images, truth):
    bundle = with_engine(build(outputs=OUTPUTS, batch=None))
    engine = opened(bundle)
    assert engine.name == "tensorrt 10.3.0, Orin"
    for count in (3, 1, 5):
        images = sample_images(count, seed=count)
        given = engine.run({"image": images})
        assert list(given) == list(OUTPUTS)
        for name, wanted in truth(images).items():
            assert given[name].dtype == np.float32
            np.testing.assert_allclose(given[name], wanted, rtol=1e-4, atol=1e-4)


def test_outputs_stay_unchanged_during_the_next_run(build, opened, sample_images):
    engine = opened(with_engine(build(outputs=OUTPUTS)))
    first = engine.run({"image": sample_images(1, seed=1)})["features"]
    kept = first.copy()
    engine.run({"image": sample_images(1, seed=2)})
    np.testing.assert_array_equal(first, kept)


def test_a_session_classifies_with_tensorrt(build, opened):
    bundle = with_engine(build())
    session = Session(read_manifest(bundle), opened(bundle), ("coal", "tomato", "g", "sea", "snow"))
    assert session.classify(np.full((8, 6, 3), (250, 10, 10), np.uint8))[0].label == "tomato"


def test_a_batch_outside_the_profile_is_refused(build, opened, sample_images):
    engine = opened(with_engine(build(batch=None)))
    with pytest.raises(BadInput, match=r"failed on uint8 \[33, 8, 6, 3\]") as caught:
        engine.run({"image": sample_images(33)})
    assert "--max-shapes" in str(caught.value.hint)


def test_calls_from_several_threads_do_not_interfere(build, opened, sample_images, truth):
    engine = opened(with_engine(build(outputs=OUTPUTS)))
    wrong = []

    def many(seed: int) -> None:
        images = sample_images(1, seed=seed)
        wanted = truth(images)["features"]
        for _ in range(20):
            if not np.allclose(engine.run({"image": images})["features"], wanted, rtol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=many, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        (dataclasses.replace(ENVIRONMENT, version="10.7.0"), "tensorrt 10.7.0, and this is 10.3.0"),
        (dataclasses.replace(ENVIRONMENT, gpu="Orin NX"), "for Orin NX, and this is Orin"),
        (
            dataclasses.replace(ENVIRONMENT, compute_capabilities=("8.6",)),
            "for Orin, and this is Orin",
        ),
        (dataclasses.replace(ENVIRONMENT, platform="Linux mips"), "for tensorrt on Linux mips"),
        (
            Environment("tensorrt", "10.3.0", platform_here(), None, ("8.6", "8.9")),
            "for compute capability 8.6, 8.9, and this is Orin",
        ),
    ],
)
def test_an_engine_for_another_environment_is_refused(build, opened, environment, why):
    bundle = with_engine(build(), environment)
    with pytest.raises(BundleRefused, match=why) as caught:
        opened(bundle)
    assert "build_engine.py" in str(caught.value.hint)


def test_a_stale_engine_is_refused(build, opened):
    bundle = with_engine(build())
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes() + b"\x52\x00")
    with pytest.raises(BundleRefused, match=r"model\.onnx is not the one that it was built from"):
        opened(bundle)


def test_another_plan_than_the_recorded_one_is_refused(build, opened):
    bundle = with_engine(build())
    (bundle / "engine.plan").write_bytes(b"by trtexec")
    with pytest.raises(BundleRefused, match=r"is not the engine that engine\.json describes"):
        opened(bundle)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": "x", "plan": 1}', "[" * 100_000])
def test_a_malformed_engine_json_is_refused(build, opened, text):
    bundle = with_engine(build())
    (bundle / "engine.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleRefused, match=r"is not one that kexport wrote"):
        opened(bundle)


@pytest.mark.parametrize("version", [10, None, ["10"], "\u00b2", ""])
def test_a_malformed_version_is_refused(build, opened, version):
    bundle = with_engine(build())
    data = json.loads((bundle / "engine.json").read_text(encoding="utf-8"))
    data["place"]["version"] = version
    data["flags"]["version_compatible"] = True
    (bundle / "engine.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BundleRefused, match=r"engine\."):
        opened(bundle)


def test_a_plan_that_tensorrt_cannot_load_is_refused(build, opened):
    bundle = build()
    write_engine(
        bundle, b"other bytes", EngineRecord(hash_of_model(bundle), "", ENVIRONMENT, Flags())
    )
    with pytest.raises(BundleRefused, match="magicTag does not match"):
        opened(bundle)


def test_an_engine_of_other_tensors_is_refused(build, opened, rewrite):
    bundle = with_engine(build())
    rewrite(bundle, lambda data: data["outputs"][0].update(shape=[1, 9]))
    with pytest.raises(BundleRefused, match=r"is float32 \[1, 5\], and the manifest says"):
        opened(bundle)
    rewrite(bundle, lambda data: data["outputs"][0].update(name="else"))
    with pytest.raises(BundleRefused, match=r"has no output 'else'"):
        opened(bundle)
    rewrite(bundle, lambda data: data["inputs"][0].update(name="photo"))
    with pytest.raises(BundleRefused, match=r"has an input 'image' that the manifest does not"):
        opened(bundle)


def test_compatible_engines_run_in_the_environments_that_they_allow(build, opened):
    older = dataclasses.replace(ENVIRONMENT, version="10.1.0")
    opened(with_engine(build("a"), older, version_compatible=True))
    newer = dataclasses.replace(ENVIRONMENT, version="10.7.0")
    with pytest.raises(BundleRefused, match=r"tensorrt 10\.7\.0"):
        opened(with_engine(build("b"), newer, version_compatible=True))
    old = dataclasses.replace(ENVIRONMENT, version="8.6.1")
    engine = opened(with_engine(build("c"), old, version_compatible=True))
    assert engine._runtime.engine_host_code_allowed
    with pytest.raises(BundleRefused, match=r"tensorrt 8\.6\.1"):
        opened(with_engine(build("d"), old, version_compatible=True), "11.0.0")
    ampere = dataclasses.replace(ENVIRONMENT, gpu="A100", compute_capabilities=("8.0",))
    opened(with_engine(build("e"), ampere, hardware_compatibility="ampere_plus"))
    nano = dataclasses.replace(ENVIRONMENT, gpu="Orin Nano")
    opened(with_engine(build("f"), nano, hardware_compatibility="same_compute_capability"))


def test_the_dla_core_is_set_before_loading(build, opened):
    assert opened(with_engine(build(), dla_core=1))._runtime.DLA_core == 1


def test_tensorrt_before_8_5_is_refused(build, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", fake.module("8.4.1"))
    with pytest.raises(EngineMissing, match=r"8\.4\.1 is too old: .* needs 8\.5"):
        load(with_engine(build()), engine="tensorrt")


def test_a_missing_gpu_is_reported() -> None:
    with pytest.raises(EngineMissing, match="no CUDA-capable device is detected"):
        Cuda(fake.FakeCuda(gpus=0))


def test_a_failed_driver_call_is_reported() -> None:
    with pytest.raises(Exception, match="cuMemFree_v2 failed with 1: invalid"):
        Cuda(fake.FakeCuda()).free_device(5)


def test_without_tensorrt_onnx_runtime_runs_with_a_warning(build, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    bundle = with_engine(build())
    with pytest.warns(RuntimeWarning, match=r"so model\.onnx runs in ONNX Runtime") as caught:
        session = load(bundle)
    assert caught[0].filename == __file__
    assert session.engine.name.startswith("onnxruntime")
    with pytest.raises(EngineMissing, match=r"tensorrt is needed to run engine\.plan"):
        load(bundle, engine="tensorrt")
    assert load(bundle, engine="onnxruntime").engine.name.startswith("onnxruntime")
    with pytest.raises(BadInput, match="no engine is called 'openvino'"):
        load(bundle, engine="openvino")


def test_the_record_is_written_completely(build):
    bundle = with_engine(build(), profile={"image": [[1, 8, 6, 3]] * 3})
    record = read_record(bundle)
    assert record.plan == hashlib.sha256((bundle / "engine.plan").read_bytes()).hexdigest()
    assert record.flags.profile == {"image": [[1, 8, 6, 3]] * 3}
    assert record.environment == ENVIRONMENT
    assert not list(bundle.glob("*.part"))

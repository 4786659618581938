"""int8 bundles on x86 without VNNI, where ONNX Runtime adds two products in 16 bits at most."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest
from cpp_builds import Build, need
from support import healthy, small_classifier

from kexport.api import export
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.errors import ParityFailed
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.source.synthetic_images import draw_images
from kexport.stages import quantize

SIZE = 16
PASSED, FAILED = 0, 12


@pytest.fixture(scope="module")
def haswell(plain: Build) -> Build:
    """Return the programs on a core without more than AVX2, emulated by qemu-user."""
    if platform.machine() != "x86_64":
        pytest.skip("this machine has no x86-64 library of ONNX Runtime")
    need("qemu-x86_64")
    return Build(plain.folder, ["qemu-x86_64", "-cpu", "Haswell"])


def bundle(folder: Path) -> Path:
    """Export a classifier in int8, and return its bundle even if it was rejected."""
    output, drawn = folder / "bundle", draw_images(16, SIZE, SIZE, seed=1)
    model, recipe = healthy(small_classifier(SIZE), "tf"), Recipe(preprocess="tf")
    try:
        return export(
            model,
            "cpu-int8",
            output=output,
            recipe=recipe,
            calibration=Calibration(data=drawn, max_drop=0.5),
        ).path
    except ParityFailed:
        return output.with_name("bundle.rejected")


def test_outputs_equal_those_of_this_machine(plain: Build, haswell: Build, tmp_path: Path) -> None:
    made = bundle(tmp_path)
    done = haswell.run("kexport-verify", made)
    assert (done.status, done.out) == (PASSED, plain.run("kexport-verify", made).out)


def test_weights_that_saturate_fail_verification(
    haswell: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        quantize.SCHEMES, "onnxruntime", replace(ONNXRUNTIME_CPU, avoid_saturation=False)
    )
    done = haswell.run("kexport-verify", bundle(tmp_path))
    assert done.status == FAILED, done.out
    assert next(line for line in done.out.splitlines() if "graph:logits" in line).endswith("FAILED")

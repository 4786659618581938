"""The C++ runtime for aarch64: cross-compiled, and run by qemu-user with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kexport.runtime import verify


def test_golden_images(aarch64, build):
    bundle = build(batch=None, outputs=("probabilities", "features"))
    done = aarch64.run("kexport-verify", bundle)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == "mean_colour for cpu-fp32: passed"
    assert done.out.count("  ok") == len(verify(bundle).rows) == 3


def test_outputs_outside_the_tolerances(aarch64, bundle: Path, reseal):
    with np.load(bundle / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays["probabilities"] = np.roll(arrays["probabilities"], 1, axis=-1)
    np.savez(bundle / "golden.npz", **arrays)
    reseal(bundle)
    assert aarch64.run("kexport-verify", bundle).status == 12


def test_a_file_that_was_altered(aarch64, bundle: Path):
    (bundle / "labels.txt").write_text("other\n" * 5)
    done = aarch64.run("kexport-verify", bundle)
    assert (done.status, done.out) == (14, "")
    assert done.err.startswith("error: labels.txt has ")


@pytest.mark.zoo
def test_golden_images_of_mobilenet_v2(aarch64, tmp_path: Path):
    import kexport

    recipe = kexport.Recipe(weights="random")
    bundle = kexport.export("mobilenet_v2", "cpu-fp32", output=tmp_path / "bundle", recipe=recipe)
    done = aarch64.run("kexport-verify", bundle.path)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == "mobilenet_v2 for cpu-fp32: passed"
    assert done.out.count("  ok") == len(verify(bundle.path).rows) == 2

"""examples/cpp, built with its own CMakeLists as docs/cpp.md says, and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cpp_builds import WARNINGS, Build, configured
from PIL import Image

from kexport.runtime import load


@pytest.fixture
def example(
    root: Path, sources: Path, packages: Path, bundle: Path, reseal, tmp_path: Path
) -> Build:
    """Build the project, which uses the runtime in the bundle, without optimisation."""
    shutil.copytree(sources, bundle / "cpp")
    reseal(bundle)
    headers = packages / "headers" / "usr" / "include" / "onnxruntime"
    options = {
        "BUNDLE": bundle,
        "CMAKE_BUILD_TYPE": "Quick",
        "CMAKE_CXX_FLAGS": WARNINGS,
        "CMAKE_UNITY_BUILD_BATCH_SIZE": 0,
        "KEXPORT_ONNXRUNTIME_INCLUDE": headers,
    }
    folder = tmp_path / "build"
    said = [f"-D{name}={value}" for name, value in options.items()]
    configured(folder, root / "examples" / "cpp", said)
    command = ["cmake", "--build", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Build(folder)


@pytest.mark.slow
def test_the_example_prints_pythons_labels(
    example: Build, bundle: Path, sample_images, tmp_path: Path
):
    pixels = sample_images(1, seed=3)[0]
    Image.fromarray(pixels).save(tmp_path / "image.ppm")
    done = example.run("label-image", bundle, tmp_path / "image.ppm")
    assert (done.status, done.err) == (0, "")
    best = load(bundle).classify(pixels, top_k=3)
    told = [line.split() for line in done.out.splitlines()]
    assert [label for label, _ in told] == [found.label for found in best]
    assert [float(score) for _, score in told] == pytest.approx(
        [found.score for found in best], rel=1e-5
    )

    refused = example.run("label-image", bundle, bundle / "labels.txt")
    assert (refused.status, refused.out) == (15, "")
    assert refused.err.endswith("labels.txt is not a PPM image\n")

"""The projects that documents show, built as they say: of one bundle, and of two together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cpp_builds import WARNINGS, Build, built, configured
from documents import blocks
from PIL import Image

from kexport.runtime import load

TESTS = Path(__file__).parent
MORE = """
add_subdirectory(OTHER/cpp other)
add_executable(two-bundles "{tests}/programs/two_bundles.cpp")
target_link_libraries(two-bundles PRIVATE kexport::kexport)
add_subdirectory("{examples}" example)
"""
"""A second bundle, a program that opens both, and examples/cpp, beside what the README shows."""


@pytest.fixture
def project(root: Path, sources: Path, build: Any, reseal: Any, tmp_path: Path) -> Path:
    """Write the project of the README that a bundle carries, with MORE."""
    folder = tmp_path / "project"
    folder.mkdir()
    others = [f"not {label}" for label in ("coal", "tomato", "grass", "sea", "snow")]
    for name, labels in (("BUNDLE", None), ("OTHER", others)):
        bundle = build(name, labels=labels) if labels else build(name)
        shutil.copytree(sources, bundle / "cpp")
        reseal(bundle)
        bundle.rename(folder / name)
    readme = (folder / "BUNDLE" / "cpp" / "README.md").read_text("utf-8")
    assert "`add_subdirectory(OTHER/cpp other)`" in readme
    shown = {block.language: block.body for block in blocks(readme)}
    more = MORE.format(tests=TESTS, examples=root / "examples" / "cpp")
    (folder / "CMakeLists.txt").write_text(shown["cmake"] + more, encoding="utf-8")
    (folder / "camera.cpp").write_text(shown["cpp"], encoding="utf-8")
    return folder


@pytest.fixture
def programs(project: Path, tmp_path: Path) -> Build:
    """Build the project without optimisation."""
    said = ["-DCMAKE_BUILD_TYPE=Quick", f"-DCMAKE_CXX_FLAGS={WARNINGS}"]
    said += ["-DCMAKE_UNITY_BUILD_BATCH_SIZE=0", f"-DBUNDLE={project / 'BUNDLE'}"]
    folder = tmp_path / "build"
    configured(folder, project, said)
    built(folder)
    return Build(folder)


@pytest.mark.slow
def test_the_programs_print_pythons_labels(
    programs: Build,
    project: Path,
    sample_images: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle, other = project / "BUNDLE", project / "OTHER"
    pixels = sample_images(1, seed=3)[0]
    Image.fromarray(pixels).save(tmp_path / "image.ppm")
    pixels.tofile(tmp_path / "image.rgb")
    done = programs.run("example/label-image", bundle, tmp_path / "image.ppm")
    assert (done.status, done.err) == (0, "")
    best = load(bundle).classify(pixels, top_k=3)
    told = [line.split() for line in done.out.splitlines()]
    assert [label for label, _ in told] == [found.label for found in best]
    assert [float(score) for _, score in told] == pytest.approx(
        [found.score for found in best], rel=1e-5
    )

    height, width = pixels.shape[:2]
    done = programs.run("two-bundles", bundle, other, tmp_path / "image.rgb", width, height)
    (second,) = load(other).classify(pixels, top_k=1)
    assert second.label == f"not {best[0].label}"
    score = f"{best[0].score:.6f}"
    assert (done.status, done.out) == (0, f"{best[0].label} {score}\n{second.label} {score}\n")

    monkeypatch.chdir(project)  # the README's program opens "BUNDLE"
    done = programs.run("camera")
    grey = load(bundle).classify(pixels * 0 + 128, top_k=3)
    shown = [f"{found.label} {found.score:.3f}" for found in grey]
    assert (done.status, done.out.splitlines()) == (0, shown)

    refused = programs.run("example/label-image", bundle, bundle / "labels.txt")
    assert (refused.status, refused.out) == (15, "")
    assert refused.err.endswith("labels.txt is not a PPM image\n")


@pytest.mark.slow
def test_two_runtimes_of_different_releases_are_refused(project: Path, tmp_path: Path) -> None:
    (project / "OTHER" / "cpp" / "src" / "newer.hpp").touch()
    command = ["cmake", "-S", project, "-B", tmp_path / "build"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert f"The C++ runtimes in {project}/BUNDLE and {project}/OTHER are of different" in told
    assert "Add the newer one alone: it opens both bundles." in told

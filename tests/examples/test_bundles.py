"""The examples: as good in a bundle as in Keras, whatever runs it."""

from __future__ import annotations

import filecmp
import json
import subprocess
import sys

import numpy as np
import pytest
from cpp_builds import Build
from example_bundles import Exported, exported, module
from PIL import Image

from kexport.runtime import cli as run_py

pytestmark = pytest.mark.slow

BOUNDS = {"regress": 0.06, "image": 0.05, "segment": 0.15}
"""The most that a bundle's measure may differ from that of Keras, in the measure's unit: 0.06 % of
the dial, a fortieth of the mean error; 0.05 dB of PSNR; 0.15 % of mean IoU. `POINTS` for others."""

POINTS = 0.3
"""A third of a percent of the images or labels, which are right or wrong as a whole."""

IN_CPP = ("classify", "binary", "multilabel", "regress", "segment", "detect")
"""The tasks whose answers `kexport-predict` prints as run.py does."""

IN_JSON = ("embed", "image")
"""Those whose answers are compared as JSON and files: a gallery of images is Python's alone, and
pixels are not printed."""

each = pytest.mark.parametrize("example", [*IN_CPP, *IN_JSON], indirect=True)


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(request.param, tmp_path_factory.mktemp(request.param))


@each
def test_a_bundle_is_as_good_as_keras(example: Exported) -> None:
    for precision, found in example.answers.items():
        measure = example.measure(precision, found)
        bound = BOUNDS.get(example.task, POINTS)
        assert measure == pytest.approx(example.keras, abs=bound), precision


@each
def test_run_py_answers_the_same(example: Exported) -> None:
    """run.py answers each image as `kexport run` does, to the last bit."""
    compare = module("compare")
    for precision, bundle in example.bundles.items():
        saved = example.out / f"saved-{precision}" if example.task in compare.FILES else None
        words = compare.words_of_run(example.task, example.out, saved)
        command = [sys.executable, str(bundle / "run.py"), *words, "--jsonl"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for own, expected in zip(lines, example.answers[precision], strict=True):
            if "saved" in own:
                assert filecmp.cmp(own.pop("saved"), expected["saved"], shallow=False)
            assert own == {key: expected[key] for key in expected if key != "saved"}


@pytest.mark.parametrize("example", IN_CPP, indirect=True)
def test_cpp_answers_the_same(
    example: Exported, plain: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    """kexport-predict prints what run.py prints, for every image."""
    compare = module("compare")
    example_of = compare.EXAMPLES[example.task]
    folder = example.out / "held-out" / example_of.images
    words = [*map(str, sorted(folder.glob(example_of.files))), *example_of.run.split()]
    for bundle in example.bundles.values():
        done = plain.run("kexport-predict", bundle, *words)
        assert (done.status, done.err) == (0, "")
        capsys.readouterr()
        assert run_py.main(bundle, words) == 0
        assert done.out == capsys.readouterr().out


@pytest.mark.parametrize("example", IN_JSON, indirect=True)
def test_cpp_gives_the_same_vectors_and_images(example: Exported, plain: Build) -> None:
    """kexport-predict gives the numbers and pixels of run.py to the last bit, for every image."""
    compare = module("compare")
    example_of = compare.EXAMPLES[example.task]
    folder = example.out / "held-out" / example_of.images
    for precision, bundle in example.bundles.items():
        words = list(map(str, sorted(folder.glob(example_of.files))))
        if example.task == "image":
            words += ["--save", str(example.out / f"cpp-{precision}")]
        done = plain.run("kexport-predict", bundle, *words, "--jsonl")
        assert (done.status, done.err) == (0, "")
        lines = [json.loads(line) for line in done.out.splitlines()]
        for own, expected in zip(lines, example.answers[precision], strict=True):
            if example.task == "image":
                pixels = (np.asarray(Image.open(each["saved"])) for each in (own, expected))
                assert np.array_equal(*pixels)
                assert own["image"] == expected["image"]
            else:
                assert own["embedding"] == expected["embedding"]

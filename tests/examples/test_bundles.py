"""The examples: as good in a bundle as in Keras, whatever runs it."""

from __future__ import annotations

import filecmp
import json
import subprocess
import sys

import pytest
from cpp_builds import Build
from example_bundles import Exported, exported, module

from kexport.runtime import cli as run_py

pytestmark = pytest.mark.slow

POINTS = 0.3
"""The most that a bundle's measure may differ from that of Keras: a third of a percent."""

IN_CPP = ("classify", "binary", "multilabel", "regress", "segment", "detect")
"""The tasks whose answers `kexport-predict` prints as run.py does."""

each = pytest.mark.parametrize("example", [*IN_CPP, "embed", "image"], indirect=True)


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(request.param, tmp_path_factory.mktemp(request.param))


@each
def test_a_bundle_is_as_good_as_keras(example: Exported) -> None:
    for precision, found in example.answers.items():
        measure = example.measure(precision, found)
        assert measure == pytest.approx(example.keras, abs=POINTS), precision


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

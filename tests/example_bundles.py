"""The checks of the examples: their bundles are as good as Keras, whatever runs them."""

from __future__ import annotations

import filecmp
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cpp_builds import Build
from support import module_at

from kexport.runtime import cli as run_py

POINTS = 0.3
"""The most that a bundle's measure may differ from that of Keras: a third of a percent."""


def module(name: str) -> Any:
    """Import a module of examples/."""
    folder = Path(__file__).resolve().parents[1] / "examples"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return sys.modules.get(name) or module_at(folder / f"{name}.py")


@dataclass(frozen=True)
class Exported:
    """An example: the measure of Keras, and for each precision a bundle and its answers."""

    task: str
    out: Path
    keras: float
    bundles: dict[str, Path]
    answers: dict[str, list[dict[str, Any]]]

    def measure(self, precision: str, found: list[dict[str, Any]]) -> float:
        return float(module("compare").in_bundle(self.task, found, self.out))


def exported(task: str, out: Path) -> Exported:
    """Draw the data of an example, export it, and let `kexport run` answer the held-out images."""
    compare = module("compare")
    compare.draw(task, out, train=250, held_out=HELD_OUT.get(task, 200))
    bundles = {one: compare.export(task, one, out) for one in compare.PRECISIONS}
    save = task in compare.FILES
    answers = {one: compare.answers(task, bundles[one], out, save=save) for one in bundles}
    return Exported(task, out, compare.in_keras(task, out), bundles, answers)


HELD_OUT = {"classify": 350, "binary": 350, "detect": 350, "embed": 350}
"""How many images tell a third of a percent, where an image is right or wrong as a whole."""


def as_good_as_keras(example: Exported) -> None:
    for precision, found in example.answers.items():
        assert example.measure(precision, found) == pytest.approx(example.keras, abs=POINTS), (
            precision
        )


def same_in_run_py(example: Exported) -> None:
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


def same_in_cpp(example: Exported, build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    """kexport-predict prints what run.py prints, for every image."""
    compare = module("compare")
    example_of = compare.EXAMPLES[example.task]
    folder = example.out / "held-out" / example_of.images
    words = [*map(str, sorted(folder.glob(example_of.files))), *example_of.run.split()]
    for bundle in example.bundles.values():
        done = build.run("kexport-predict", bundle, *words)
        assert (done.status, done.err) == (0, "")
        capsys.readouterr()
        assert run_py.main(bundle, words) == 0
        assert done.out == capsys.readouterr().out

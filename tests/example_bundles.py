"""The examples of examples/: their data, bundles, and answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import module_at


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

"""How sharp the proof is on Applications: the smallest error of a weight that it finds.

    python bench/sharpness.py [--models MobileNetV2,ResNet50] [--size 96] [--out docs/parity.md]

A model has `--weights random`. In an early, a middle and the last kernel of its graph, single
weights and the whole kernel are made larger until the proof refuses the graph.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from page import error, joined, put_section, table

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

MODELS = (
    *("MobileNetV2", "ResNet50", "EfficientNetB0", "ConvNeXtTiny", "InceptionV3"),
    *("DenseNet121", "NASNetMobile"),
)

WEIGHTS = 3
"""Single weights drawn from each kernel."""

PLACES = ("early", "middle", "last")


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Of one model: its rounding noise, its tolerance, and the errors found in three kernels.

    Noise and tolerance are relative to the spread of the logits. `weights` are the errors of single
    weights in each kernel, None for one that may be twice as large; `kernels` those of all weights.
    """

    noise: float
    tolerance: float
    weights: tuple[tuple[float | None, ...], ...]
    kernels: tuple[float | None, ...]


def measure(builder: str, size: int) -> Sharpness:
    """Export an Application in memory, and look for the limits."""
    import numpy as np
    from random_models import sharpness
    from random_models.judge import convert

    from kexport.options.application import Recipe
    from kexport.parity import samples
    from kexport.runtime.compare import spread
    from kexport.source.open import open_model

    recipe = Recipe(weights="random", input_shape=(size, size, 3))
    source = open_model(builder, recipe)
    subject = convert(source.model, samples.make(source.model, source.mode, recipe.seed))
    (name,) = subject.expected.gaps
    found = list(sharpness.places(subject.graph, source.model))
    places = (found[1], found[len(found) // 2], found[-1])
    kernels = [sharpness.Kernel(subject, place) for place in places]
    rng = np.random.default_rng(0)
    return Sharpness(
        subject.expected.noise[name],
        subject.expected.gaps[name] / spread(subject.expected.logits[name]),
        tuple(tuple(one.limit_of_a_weight(rng) for _ in range(WEIGHTS)) for one in kernels),
        tuple(one.limit() for one in kernels),
    )


def row(builder: str, found: Sharpness) -> list[str]:
    """Return the cells of one model; a kernel has the median of its single weights."""
    return [
        builder,
        error(found.noise),
        error(found.tolerance),
        *(error(middle(weights)) for weights in found.weights),
        *(error(kernel) for kernel in found.kernels),
    ]


def middle(values: Sequence[float | None]) -> float | None:
    """Return the median, with weights that are never found as the largest; None for one such."""
    found = statistics.median_high(float("inf") if one is None else one for one in values)
    return None if found == float("inf") else found


def page(rows: Sequence[Sequence[str]], size: int) -> str:
    parts = [
        f"Applications at {size} x {size} with `--weights random`. The noise and the tolerance are "
        "relative to the spread of the logits. A column is one kernel: the second of the graph, "
        f"the middle one, or the classifier. Of {WEIGHTS} single weights drawn from it, it has the "
        "median of the smallest relative errors that are found, and then the smallest relative "
        "error of all weights together. A dash is a weight that may be twice as large.",
        table(
            [
                *("Application", "noise", "tolerance"),
                *(f"a weight, {place}" for place in PLACES),
                *(f"a kernel, {place}" for place in PLACES),
            ],
            rows,
        ),
    ]
    return joined(parts)


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(MODELS), help="builders, with commas")
    parser.add_argument("--size", type=int, default=96, help="height and width of the images")
    parser.add_argument("--out", type=Path, help="the page to write the table to")
    return parser


def main() -> int:
    asked, rows = parser().parse_args(), []
    for builder in asked.models.split(","):
        rows.append(row(builder, measure(builder, asked.size)))
        print(*rows[-1], sep="\t", flush=True)
    if asked.out:
        put_section(asked.out, "sharpness on Applications", page(rows, asked.size), "Parity")
    return 0


if __name__ == "__main__":
    sys.exit(main())

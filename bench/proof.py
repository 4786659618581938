"""Right and wrong graphs of random models under the proof, and how sharp the proof is.

    python bench/proof.py [--start 0] [--count 10000] [--results out/proof.jsonl]
                          [--out docs/parity.md] [--report]

Each draw is a random model of 2 to 8 layers with random conditioning (tests/random_models). Its
graph, which is right, is judged as an export judges it, and so are graphs in which a fault is
planted (tests/planted_faults). Every draw is a line of JSON, and draws that are there already are
not run again: a run that was cut off goes on. `--report` only writes the page from the lines.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

FAULTS = 3
"""Faults planted in each model."""

FAILED: dict[str, Any] = {"failed": "not run yet"}

SHARPNESS = 4
"""One of so many draws is also asked for the smallest error of a weight that the proof finds."""

COLLECT = 50
"""Draws between collections of garbage, which holds Keras' models."""

SAY = 100
"""Draws between lines of progress."""


def trial(seed: int) -> dict[str, Any]:
    """Run one draw; the result as JSON data."""
    from random_models.trial import try_seed

    begun = time.perf_counter()
    try:
        found = try_seed(seed, FAULTS)
    except Exception as error:  # noqa: BLE001 - a draw that fails is a result as well
        return {"seed": seed, "failed": f"{type(error).__name__}: {error}"[:500]}
    return {
        "seed": seed,
        "feature": found.drawn.feature,
        "families": sorted(found.drawn.families),
        "redraws": dict(found.drawn.redraws),
        "right": _entry(found.right),
        "noise": max(found.subject.expected.noise.values()),
        "planted": [
            {
                "name": one.name,
                "outcome": one.outcome,
                "moved": _number(one.moved),
                "visible": _number(one.visible),
                "unreached": one.unreached,
                **_entry(one.verdict),
            }
            for one in found.planted
        ],
        "sharpness": [] if seed % SHARPNESS else _sharpness(found),
        "seconds": round(time.perf_counter() - begun, 3),
    }


def _entry(verdict: Any) -> dict[str, Any]:
    return {
        "passed": verdict.passed,
        "row": verdict.row,
        "error": _number(verdict.error),
        "tolerance": verdict.tolerance,
    }


def _number(value: float) -> float:
    return min(float(value), sys.float_info.max)


def _sharpness(found: Any) -> list[dict[str, Any]]:
    """Measure one weight and the whole kernel of one layer, drawn."""
    import numpy as np
    from random_models import sharpness

    rng = np.random.default_rng((found.drawn.seed, 1 << 21))
    places = list(sharpness.places(found.subject.graph, found.drawn.model))
    if not places or not found.right.passed:
        return []
    place = places[int(rng.integers(len(places)))]
    kernel = sharpness.Kernel(found.subject, place)
    limits = {"weight": kernel.limit_of_a_weight(rng), "kernel": kernel.limit()}
    return [{"family": place.family, **limits}]


def read(path: Path) -> dict[int, dict[str, Any]]:
    """Read the draws of earlier runs; the last line may be cut off."""
    if not path.exists():
        return {}
    found = {}
    for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[result["seed"]] = result
    return found


def run(start: int, count: int, path: Path) -> None:
    """Run the draws that are not in the file yet, or failed, and append each at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, begun = read(path), time.perf_counter()
    left = [seed for seed in range(start, start + count) if "failed" in done.get(seed, FAILED)]
    with path.open("a", encoding="utf-8") as file:
        if done:
            file.write("\n")  # after a line that was cut off
        for at, seed in enumerate(left, 1):
            file.write(f"{json.dumps(trial(seed))}\n")
            file.flush()
            if at % COLLECT == 0:
                gc.collect()
            if at % SAY == 0:
                each = (time.perf_counter() - begun) / at
                print(f"{at} of {len(left)}, {each:.2f} s each", flush=True)


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=10_000, help="the number of draws")
    parser.add_argument("--results", type=Path, default=Path("out/proof.jsonl"))
    parser.add_argument("--out", type=Path, help="the page to write the figures to")
    parser.add_argument("--report", action="store_true", help="run nothing, report the results")
    return parser


def main() -> int:
    from proof_page import summary, write

    asked = parser().parse_args()
    if not asked.report:
        run(asked.start, asked.count, asked.results)
    wanted = range(asked.start, asked.start + asked.count)
    results = [one for seed, one in sorted(read(asked.results).items()) if seed in wanted]
    print(summary(results))
    if asked.out:
        write(asked.out, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())

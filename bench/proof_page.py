"""The figures of bench/proof.py: for the terminal, and as a section of docs/parity.md."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from page import error, joined, put_section, table

Result = dict[str, Any]

FEWEST = 10
"""Measured weights below which a family has no row."""


def judged(results: Iterable[Result]) -> list[Result]:
    """Return the draws whose model was converted and judged."""
    return [result for result in results if "failed" not in result]


def faults(results: Iterable[Result]) -> dict[str, Counter[str]]:
    """Count the outcomes of each kind of fault."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for result in judged(results):
        for planted in result["planted"]:
            found[planted["name"]][planted["outcome"]] += 1
    return dict(found)


def sharpness(results: Iterable[Result]) -> list[tuple[str, list[float], list[float], int]]:
    """Return for each family the errors of single weights and of kernels that are found.

    The last number counts the weights that may be twice as large, for nothing depends on them.
    """
    rows: dict[str, tuple[list[float], list[float], list[None]]] = {}
    for result in judged(results):
        for one in result["sharpness"]:
            weights, kernels, dead = rows.setdefault(one["family"], ([], [], []))
            for value, into in ((one["weight"], weights), (one["kernel"], kernels)):
                if value is not None:
                    into.append(value)
            if one["weight"] is None:
                dead.append(None)
    return [(family, w, k, len(d)) for family, (w, k, d) in sorted(rows.items())]


def summary(results: Sequence[Result]) -> str:
    """Return everything that was counted as lines of text."""
    good = judged(results)
    redraws: Counter[str] = Counter()
    for result in good:
        redraws.update(result["redraws"])
    lines = [
        f"{len(results)} draws, {len(good)} judged; redraws {dict(redraws)}",
        *(f"failed {r['seed']}: {r['failed'][:200]}" for r in results if "failed" in r),
        *(
            f"refused {r['seed']} {r['feature']}: error {r['right']['error']:.2g}, allowed "
            f"{r['right']['tolerance']:.2g}, noise {r['noise']:.2g}"
            for r in good
            if not r["right"]["passed"]
        ),
    ]
    for name, found in sorted(faults(good).items()):
        counts = (found[key] for key in ("refused", "accepted", "changes nothing"))
        lines.append("{:45s} refused {:5d}, accepted {:4d}, no fault {:5d}".format(name, *counts))
    for family, weights, kernels, dead in sharpness(good):
        found = ", ".join(_quantiles(values) for values in (weights, kernels))
        lines.append(f"{family:15s} weight, kernel: {found}; {dead} without effect")
    return "\n".join(lines)


def _quantiles(values: Sequence[float]) -> str:
    middle, high = quantiles(values)
    return f"{error(middle)} {error(high)} of {len(values)}"


def quantiles(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the median and the 90 % quantile; None for fewer than two values."""
    if len(values) < 2:
        return None, None
    return statistics.median(values), statistics.quantiles(values, n=10)[-1]


def write(out: Path, results: Sequence[Result]) -> None:
    """Write the section of the page."""
    put_section(out, "random models", section(results), "Parity")


def section(results: Sequence[Result]) -> str:
    """Return the section as Markdown."""
    good, counts = judged(results), Counter[str]()
    for found in faults(results).values():
        counts.update(found)
    refused = sum(not result["right"]["passed"] for result in good)
    planted = counts["refused"] + counts["accepted"]
    kinds = [name for name, found in faults(results).items() if found["refused"]]
    missed = {name: found["accepted"] for name, found in faults(results).items()}
    parts = [
        f"{len(good):,} random models were drawn, with layers of every kind. Of their graphs, "
        f"which are right, **{refused}** were refused. Of {planted:,} "
        f"graphs with a fault of one of {len(kinds)} kinds, **{counts['accepted']}** were accepted"
        + (": " if counts["accepted"] else ".")
        + ", ".join(f"{n} x {name}" for name, n in sorted(missed.items()) if n)
        + ("." if counts["accepted"] else ""),
        f"A fault counts if it changes the outputs by more than the tolerance on the samples, or "
        f"on two further sets of samples; {counts['changes nothing']:,} more changed nothing.",
        "The smallest relative error that is found, of one weight and of all weights of a layer:",
        table(
            ["family", "one weight, median", "90 %", "a layer, median", "90 %", "weights"],
            [
                [family, *map(error, (*quantiles(weights), *quantiles(kernels))), str(len(weights))]
                for family, weights, kernels, _ in sharpness(results)
                if len(weights) >= FEWEST
            ],
        ),
    ]
    return joined(parts)

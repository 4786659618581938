"""The figures of bench/proof.py: for the terminal, and as a section of docs/parity.md."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from page import error, joined, put_section, table

from kexport.parity.tolerance import CEILING, FACTORS

Result = dict[str, Any]

FEWEST = 10
"""Measured weights below which a family has no row."""

UNREACHED = 0.01
"""Change on the samples, in tolerances, below which nothing there depends on a fault."""

UNDETERMINED = CEILING / FACTORS["fp32"]
"""Rounding noise, relative to the spread, that the largest tolerance does not cover."""


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


def undetermined(result: Result) -> bool:
    """Tell whether rounding alone moves Keras' own outputs by more than a tolerance may be."""
    return bool(result["noise"] > UNDETERMINED)


def accepted(results: Iterable[Result]) -> tuple[list[Result], list[Result]]:
    """Return the faults accepted: those that nothing on the samples reaches, and all others."""
    found = [p for r in judged(results) for p in r["planted"] if p["outcome"] == "accepted"]
    return (
        [planted for planted in found if planted["moved"] < UNREACHED],
        [planted for planted in found if planted["moved"] >= UNREACHED],
    )


def outcomes(results: Iterable[Result]) -> Counter[str]:
    """Count the outcomes of all faults."""
    found: Counter[str] = Counter()
    for counted in faults(results).values():
        found.update(counted)
    return found


def refusals(results: Iterable[Result]) -> int:
    """Count the right graphs that were refused."""
    return sum(not result["right"]["passed"] for result in results)


def summary(results: Sequence[Result]) -> str:
    """Return everything that was counted as lines of text."""
    good = judged(results)
    redraws: Counter[str] = Counter()
    for result in good:
        redraws.update(result["redraws"])
    unreached, reached = accepted(good)
    lines = [
        f"{len(results)} draws, {len(good)} judged; redraws {dict(redraws)}",
        f"{sum(map(undetermined, good))} whose own rounding noise exceeds {UNDETERMINED:g}",
        *(f"failed {r['seed']}: {r['failed'][:200]}" for r in results if "failed" in r),
        *(
            f"refused {r['seed']} {r['feature']}: error {r['right']['error']:.2g}, allowed "
            f"{r['right']['tolerance']:.2g}, noise {r['noise']:.2g}"
            for r in good
            if not r["right"]["passed"]
        ),
        f"accepted faults: {len(unreached)} that the samples do not reach, {len(reached)} others",
        *(
            f"accepted {r['seed']} {r['feature']}: {p['name']}, moves the samples by "
            f"{p['moved']:.2g} and others by {p['visible']:.2g} tolerances, noise {r['noise']:.2g}"
            for r in good
            for p in r["planted"]
            if p["outcome"] == "accepted"
        ),
    ]
    for name, found in sorted(faults(good).items()):
        counts = (found[key] for key in ("refused", "accepted", "changes nothing"))
        lines.append("{:45s} refused {:5d}, accepted {:4d}, no fault {:5d}".format(name, *counts))
    for family, weights, kernels, dead in sharpness(good):
        measured = ", ".join(_quantiles(values) for values in (weights, kernels))
        lines.append(f"{family:15s} weight, kernel: {measured}; {dead} without effect")
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
    good = judged(results)
    wild, calm = ([r for r in good if undetermined(r) is wanted] for wanted in (True, False))
    unreached, reached = accepted(calm)
    planted, found = outcomes(calm), outcomes(wild)
    parts = [
        f"{len(good):,} random models were drawn, with layers of every kind and weights over up to "
        f"four decades. For {len(calm):,} of them the rounding noise is below {UNDETERMINED:g} of "
        f"the spread. Of their graphs, which are right, **{refusals(calm)}** were refused. Of "
        f"{planted['refused'] + planted['accepted']:,} graphs of theirs with a fault of one of "
        f"{len(faults(calm))} kinds, **{planted['accepted']}** were accepted. The samples do not "
        f"reach {len(unreached)} of these faults: nothing that the graph gives for the samples "
        f"depends on them. {len(reached)} change it by less than the tolerance. For "
        f"{sum(one['unreached'] > 0 for one in (*unreached, *reached))} of the accepted, the proof "
        f"reports branches that no sample reaches.",
        f"A fault counts if it changes the outputs by more than the tolerance on the samples, or "
        f"on two further sets of samples; {planted['changes nothing']:,} more did not.",
        f"For the other {len(wild):,} models, rounding alone moves Keras' own outputs by more than "
        f"that, so {FACTORS['fp32']:g} times the noise is more than the largest tolerance. "
        f"{refusals(wild)} of their right graphs were refused, and {found['accepted']} of "
        f"{found['refused'] + found['accepted']} faults accepted.",
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

"""Refusal of a quantized model: what was reached, and what other limits would give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from kexport.calibration.accuracy.control import QuantizedModel
from kexport.calibration.accuracy.criterion import Criterion
from kexport.calibration.accuracy.latency import Speed
from kexport.calibration.accuracy.mixed_precision import Alternative
from kexport.calibration.accuracy.verdict import Verdict
from kexport.errors import QuantizationRefused
from kexport.measures.names import LOST
from kexport.measures.resample import CONFIDENCE

MeasureSpeed = Callable[[ir.Model], Speed | None]
"""Times a quantized model against float32; None where the target cannot be timed here."""

_HEADINGS = ("in int8", "drop", "95 % interval", "speed", "given by")


@dataclass(frozen=True, slots=True)
class Offer:
    """One row of the table of a refusal."""

    int8_share: float
    verdict: Verdict
    speed: Speed | None
    max_drop: float
    """The smallest `max_drop`, in thousandths, with which this model is published."""


def offers(
    criterion: Criterion, alternatives: Sequence[Alternative], measure: MeasureSpeed
) -> list[Offer]:
    """Judge and time each alternative to a refused model."""
    found = []
    for each in alternatives:
        quality = each.candidate.quality
        verdict = criterion.verdict(quality)
        if verdict is not None:
            least = max(verdict.interval.low, criterion.predicted_drop(quality))
            limit = min(math.ceil(1000 * least) / 1000, 1.0)
            found.append(Offer(each.int8_share, verdict, measure(each.candidate.model), limit))
    return found


def accuracy_refusal(
    criterion: Criterion, quantized: QuantizedModel, int8_share: float, measure: MeasureSpeed
) -> QuantizationRefused:
    """Build the error about a model that does not meet its criterion.

    Args:
        criterion: the criterion, which the model does not meet.
        quantized: the refused model, with its alternatives.
        int8_share: the smallest share of the MACs in int8 that was allowed.
        measure: times an alternative.
    """
    verdict = criterion.verdict(quantized.quality)
    if verdict is None:
        raise ValueError("a model without a measure is never refused")
    rows = offers(criterion, quantized.alternatives, measure)
    return QuantizationRefused(
        f"int8 costs too much accuracy: {verdict.drop:.1%} {LOST[criterion.measure]} "
        f"({CONFIDENCE:.0%} interval {_interval(verdict)}), more than the limit of "
        f"{criterion.max_drop:.1%}, after {', '.join(step.name for step in quantized.steps)}",
        hint="choose a row of the table, or give more images that are like those of the device; "
        "nothing was written",
        details=_table([_HEADINGS, *_cells(rows, int8_share)]),
    )


def _interval(verdict: Verdict) -> str:
    return f"{verdict.interval.low:.1%} to {verdict.interval.high:.1%}"


def _cells(rows: Sequence[Offer], int8_share: float) -> Iterator[tuple[str, ...]]:
    for offer in rows:
        given = f"`calibration.max_drop={offer.max_drop:g}`"
        if offer.int8_share < int8_share:
            floor = math.floor(100 * offer.int8_share) / 100
            given = f"{given} `calibration.int8_share={floor:g}`"
        speed = "-" if offer.speed is None else f"{offer.speed.factor:.2f} times fp32"
        drop = f"{offer.verdict.drop:.1%}"
        yield f"{offer.int8_share:.0%}", drop, _interval(offer.verdict), speed, given
    yield "0%", "0.0%", "", "1.00 times fp32", "a target in fp32"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align the columns of a table of text."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()

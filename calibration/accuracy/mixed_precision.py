"""Mixed precision: leave the most sensitive nodes in float until the accuracy suffices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.plan import QuantizationPlan
from kexport.calibration.accuracy.repairs import correct_biases
from kexport.calibration.accuracy.search import Search, Settings
from kexport.calibration.accuracy.sensitivity import NodeGroup, rank_by_sensitivity
from kexport.calibration.metrics import Quality
from kexport.calibration.progress import percent_progress

SENSITIVITY_IMAGES = 8
"""Images on which the sensitivity of every group is measured: few, because each group needs a run
of the whole model."""

MIN_INT8_SHARE = 0.5
"""Minimum share of the MACs that stays in int8: a model with less is not called int8."""

MIN_INT8_SHARE_FOR_MARGIN = 0.8
"""Minimum int8 share while only the safety margin is unmet. With a fifth of its MACs in float,
EfficientNetB0 gains 7.4 dB (docs/int8-figures.md)."""


def leave_sensitive_nodes_in_float(search: Search, settings: Settings) -> Search:
    """Leave nodes in float until the criterion is met, and then until it has its margin.

    Each goal has its own minimum share of int8 MACs. The ranking is measured once, on the best plan
    before this step, and only if a goal is not reached yet.
    """
    criterion, start = settings.criterion, search.best.plan
    goals = (
        (criterion.is_met, MIN_INT8_SHARE),
        (criterion.has_margin, MIN_INT8_SHARE_FOR_MARGIN),
    )
    ranked: list[NodeGroup] | None = None
    for reached, min_share in goals:
        if not reached(search.best.quality):
            ranked = rank(start, settings) if ranked is None else ranked
            plans = growing_plans(start, ranked, settings, min_share)
            search = search_smallest(search, plans, settings, reached)
    return search


def rank(plan: QuantizationPlan, settings: Settings) -> list[NodeGroup]:
    """Rank the groups of nodes that may return to float, the first of them first."""
    dataset = settings.dataset

    def scores(model: ir.Model) -> Array:
        return dataset.evaluator.scores(model, dataset.images[:SENSITIVITY_IMAGES])

    progress = percent_progress(settings.say, "measuring what each layer costs")
    return rank_by_sensitivity(
        plan.floating, settings.scheme, plan.ranges, plan.weights, scores, progress
    )


def growing_plans(
    start: QuantizationPlan, ranked: Iterable[NodeGroup], settings: Settings, min_share: float
) -> list[QuantizationPlan]:
    """List `start` and plans with ever more groups in float, none below the share of int8 MACs.

    A group that would exceed the limit is skipped, and smaller ones after it may still fit.
    """
    plans = [start]
    for group in ranked:
        grown = replace(start, floats=plans[-1].floats | group.nodes)
        if grown.int8_share(settings.scheme) >= min_share:
            plans.append(grown)
    return plans


def search_smallest(
    search: Search,
    plans: list[QuantizationPlan],
    settings: Settings,
    reached: Callable[[Quality], bool],
) -> Search:
    """Search for the plan with the fewest nodes in float whose quality has `reached` its goal.

    The number of groups in float doubles until the goal is reached; bisection then narrows it down
    to an eighth.
    """

    def attempt(count: int) -> tuple[str, QuantizationPlan]:
        name = plans[count].float_summary()
        settings.say(f"leaving {name}")
        bare = replace(plans[count], shifts=()).quantize(settings.scheme)
        images = settings.dataset.images
        return name, correct_biases(plans[count], bare, settings.scheme, images, settings.say)

    few, many = 0, min(1, len(plans) - 1)
    while not reached(search.best.quality) and few < many:
        name, plan = attempt(many)
        search = search.with_better(name, settings.build(plan), settings.criterion)
        if not reached(search.best.quality):
            few, many = many, min(2 * many, len(plans) - 1)
    while reached(search.best.quality) and many - few > max(1, many // 8):
        middle = (few + many) // 2
        name, plan = attempt(middle)
        candidate = settings.build(plan)
        kept = reached(candidate.quality)
        search = search.record(name, candidate, kept=kept)
        few, many = (few, middle) if kept else (middle, many)
    return search

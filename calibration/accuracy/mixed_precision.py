"""Mixed precision: leave the most sensitive nodes in float until the accuracy suffices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.output_bias import with_output_bias, without_float_shifts
from kexport.calibration.accuracy.plan import Candidate, QuantizationPlan
from kexport.calibration.accuracy.repairs import correct_biases
from kexport.calibration.accuracy.search import Search, Settings
from kexport.calibration.accuracy.sensitivity import NodeGroup, rank_by_sensitivity
from kexport.calibration.metrics import Quality
from kexport.calibration.progress import percent_progress

SENSITIVITY_IMAGES = 4
"""Images on which the sensitivity of every group is measured: few, because each group needs a run
of what follows it. With two, four and eight, the first twelve groups of MobileNetV2 on digits are
the same, in another order."""

OUTPUT_BIAS_IMAGES = 32
"""Calibration images on which the mean error of the scores is measured."""

MIN_INT8_SHARE = 0.5
"""Default of the smallest share of the MACs that stays in int8."""

MIN_INT8_SHARE_FOR_MARGIN = 0.8
"""Minimum int8 share while only the prediction exceeds the limit, and the count does not. With a
fifth of its MACs in float, EfficientNetB0 gains 7.4 dB (docs/int8-figures.md)."""

ALTERNATIVE_SHARES = (0.9, 0.75, 0.5, 0.25)
"""The int8 shares of the alternatives to a refused model, between all in int8 and all in float."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model between all-int8 and all-float."""

    candidate: Candidate
    int8_share: float


def leave_sensitive_nodes_in_float(
    search: Search, settings: Settings
) -> tuple[Search, list[NodeGroup]]:
    """Leave nodes in float until the prediction is within the limit, or too few are in int8.

    The sensitivities are measured once, and every number of groups in float is then built from the
    same plan: its weights stay as GPTQ has rounded them, only the bias of the last layer is
    corrected anew, and all biases once, at the end.

    Returns:
        The search, and the ranking, which is empty where nothing had to be ranked.
    """
    criterion, start = settings.criterion, search.best.plan
    if criterion.has_margin(search.best.quality):
        return search, []
    refused = not criterion.is_met(search.best.quality)
    floor = 0.0 if refused else MIN_INT8_SHARE_FOR_MARGIN
    ranked = rank(start, settings)
    plans = growing_plans(start, ranked, settings, max(settings.int8_share, floor))
    search = search_smallest(search, plans, settings, criterion.has_margin)
    return _with_corrected_biases(search, settings), ranked


def rank(plan: QuantizationPlan, settings: Settings) -> list[NodeGroup]:
    """Rank the groups of nodes that may return to float, the first of them first."""
    dataset = settings.dataset
    return rank_by_sensitivity(
        plan.floating,
        settings.scheme,
        plan.ranges,
        plan.weights,
        dataset.images[:SENSITIVITY_IMAGES],
        dataset.evaluator.rows,
        percent_progress(settings.say, "measuring what each layer costs"),
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

    exact = float_scores(plans[0], settings)

    def attempt(count: int) -> tuple[str, Candidate]:
        name = plans[count].float_summary()
        settings.say(f"leaving {name}")
        return name, attempt_plan(plans[count], settings, exact)

    few, many = 0, min(1, len(plans) - 1)
    while not reached(search.best.quality) and few < many:
        search = search.with_better(*attempt(many), settings.criterion)
        if not reached(search.best.quality):
            few, many = many, min(2 * many, len(plans) - 1)
    while reached(search.best.quality) and many - few > max(1, many // 8):
        middle = (few + many) // 2
        name, candidate = attempt(middle)
        kept = reached(candidate.quality)
        search = search.record(name, candidate, kept=kept)
        few, many = (few, middle) if kept else (middle, many)
    return search


def float_scores(plan: QuantizationPlan, settings: Settings) -> Array:
    """Compute the scores of the float model of a plan, for the bias of the last layer."""
    return _bias_scores(plan.floating, settings)


def attempt_plan(plan: QuantizationPlan, settings: Settings, exact: Array) -> Candidate:
    """Build and evaluate a plan with more nodes in float than its shifts were measured with.

    `exact` are its `float_scores`, which are the same for any nodes in float.
    """
    plan = without_float_shifts(plan)
    missing = exact - _bias_scores(plan.quantize(settings.scheme), settings)
    return settings.build(with_output_bias(plan, missing))


def _bias_scores(model: ir.Model, settings: Settings) -> Array:
    dataset = settings.dataset
    return dataset.evaluator.scores(model, dataset.images[:OUTPUT_BIAS_IMAGES])


def _with_corrected_biases(search: Search, settings: Settings) -> Search:
    """Correct the biases for the nodes that are now in float; kept where that is better."""
    best = search.best
    if not best.plan.floats:
        return search
    bare = replace(best.plan, shifts=()).quantize(settings.scheme)
    images = settings.dataset.images
    plan = correct_biases(best.plan, bare, settings.scheme, images, settings.say)
    name = f"bias correction, {plan.float_summary()}"
    return search.with_better(name, settings.build(plan), settings.criterion)


def alternatives(
    in_int8: Candidate, best: Candidate, ranked: Sequence[NodeGroup], settings: Settings
) -> tuple[Alternative, ...]:
    """Build and evaluate models of other int8 shares, the largest share first.

    Args:
        in_int8: the best model entirely in int8.
        best: the best model that the limits allow.
        ranked: the groups of nodes in the order in which they return to float.
        settings: the settings of the search.
    """
    scheme = settings.scheme
    found = {candidate.plan.int8_share(scheme): candidate for candidate in (in_int8, best)}
    plans = growing_plans(in_int8.plan, ranked, settings, 0.0)
    shares = [plan.int8_share(scheme) for plan in plans]
    exact = float_scores(in_int8.plan, settings)
    for wanted in ALTERNATIVE_SHARES:
        count = max(index for index, share in enumerate(shares) if share >= wanted)
        if count and shares[count] not in found:
            settings.say(f"trying {plans[count].float_summary()}")
            found[shares[count]] = attempt_plan(plans[count], settings, exact)
    return tuple(Alternative(found[share], share) for share in sorted(found, reverse=True))

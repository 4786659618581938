"""Accuracy-controlled quantization: calibrate, quantize, evaluate, and repair until it suffices.

The counterpart of NNCF's `quantize_with_accuracy_control`. docs/design/int8.md describes the
algorithm and its sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from kexport.calibration.accuracy.criterion import AcceptanceCriterion
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.mixed_precision import (
    MIN_INT8_SHARE,
    Alternative,
    alternatives,
    leave_sensitive_nodes_in_float,
)
from kexport.calibration.accuracy.output_head import leave_head_in_float
from kexport.calibration.accuracy.plan import QuantizationPlan
from kexport.calibration.accuracy.repairs import (
    collect,
    collect_channels,
    correct_biases,
    equalize_channels,
    round_weights,
)
from kexport.calibration.accuracy.search import Dataset, Search, SearchStep, Settings
from kexport.calibration.algorithms.bias_correction import OutputShift
from kexport.calibration.algorithms.cross_layer_equalization import find_regions
from kexport.calibration.metrics import Quality
from kexport.calibration.progress import Say, silent
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics import cache as range_cache
from kexport.calibration.statistics.channels import ChannelStatistics
from kexport.calibration.statistics.ranges import Range

REPAIR_IMAGES = 100
"""Images of the evaluation set on which repairs are compared: enough for a smooth measure."""


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """The best quantized model that was found, and how it was found."""

    model: ir.Model
    plan: QuantizationPlan
    quality: Quality
    meets_criterion: bool
    """Whether the quality suffices; a model that does not must not be published."""
    steps: tuple[SearchStep, ...]
    shifts: tuple[OutputShift, ...]
    """What quantization does to the output of each layer with weights, as last measured."""
    alternatives: tuple[Alternative, ...] = ()
    """Where the criterion is not met: what other limits would give, the most of int8 first."""


def quantize_with_accuracy_control(
    model: ir.Model,
    dataset: Dataset,
    scheme: Scheme,
    criterion: AcceptanceCriterion,
    *,
    method: str = "mse",
    cache: Path | None = None,
    int8_share: float = MIN_INT8_SHARE,
    say: Say = silent,
) -> QuantizedModel:
    """Quantize `model`, and repair it until it meets the criterion.

    Equalization, GPTQ and bias correction cost nothing at run time. They are always tried, and kept
    where fewer classes are predicted to change (`criterion.objective`). If the result falls short
    of the criterion and its margin, GPTQ with bias correction is tried once more on the other side
    of equalization. Where the output has no classes, the last layer returns to float if that costs
    next to nothing (`output_head`). Only then do others, the most sensitive for their cost first.

    Repairs are compared on the first `REPAIR_IMAGES` of the evaluation set; all of it judges.

    Args:
        model: the float32 model, prepared for the scheme.
        dataset: the calibration images, and the evaluation set that decides.
        scheme: where and how the target's engine computes in int8.
        criterion: the accuracy that suffices.
        method: the range estimator (`options.calibration.METHODS`).
        cache: a file of measured ranges: read where it exists, and written where it does not.
        int8_share: the smallest share of the MACs that stays in int8.
        say: called with a few words at the start of every step.

    Returns:
        The best model found, whether it meets the criterion or not.

    Raises:
        BadArgument: an unknown method, or a cache of another model or method.
        UnsupportedModel: the model gives NaN or infinity on the calibration images.
        OutputFailed: the cache or temporary files cannot be written.
    """
    whole = Settings(dataset, scheme, criterion, method, int8_share, say)
    settings = replace(whole, dataset=replace(dataset, evaluator=_of_repairs(dataset.evaluator)))
    ranges, channels = _calibrate(model, settings, cache)
    plain = QuantizationPlan(model, ranges)

    say("quantising")
    candidate = settings.build(plain)
    search = Search(candidate, (SearchStep("quantised", candidate.quality, kept=True),))

    equalized = _equalized(plain, channels, settings)
    if equalized is not None:
        search = search.with_better("equalisation", settings.build(equalized), criterion)
    search = _repair_layers(search, settings)

    repaired = search.best.plan.floating
    for plan, suffix in ((plain, " unequalised"), (equalized, " equalised")):
        falls_short = not criterion.has_margin(search.best.quality)
        if plan is not None and plan.floating is not repaired and falls_short:
            search = _round_weights(search, plan, plan.quantize(scheme), settings, suffix)

    search = leave_head_in_float(search, settings).reevaluated(whole)
    in_int8 = search.best
    search, ranked = leave_sensitive_nodes_in_float(search, whole)

    best = search.best
    is_met = criterion.is_met(best.quality)
    shifts = best.plan.shifts or search.shifts
    others = () if is_met else alternatives(in_int8, best, ranked, whole)
    return QuantizedModel(best.model, best.plan, best.quality, is_met, search.steps, shifts, others)


def _of_repairs(evaluator: Evaluator) -> Evaluator:
    return evaluator.first(min(REPAIR_IMAGES, len(evaluator.images)))


def _calibrate(
    model: ir.Model, settings: Settings, cache: Path | None
) -> tuple[dict[str, Range], Mapping[str, ChannelStatistics] | None]:
    """Measure ranges and channels, or read the ranges from a cache, which holds no channels."""
    if cache is not None and cache.exists():
        return range_cache.load_ranges(cache, range_cache.key_of(model, settings.method)), None
    images = settings.dataset.images
    found = collect(model, settings.scheme, images, settings.method, settings.say)
    if cache is not None:
        range_cache.save_ranges(cache, range_cache.key_of(model, settings.method), found.ranges)
    return found.ranges, found.channels


def _equalized(
    plan: QuantizationPlan, channels: Mapping[str, ChannelStatistics] | None, settings: Settings
) -> QuantizationPlan | None:
    """Equalize the channels of a plan; None where the model has no region to equalize."""
    if not find_regions(plan.floating):
        return None
    if channels is None:
        images = settings.dataset.images
        channels = collect_channels(plan.floating, images, settings.method, settings.say)
    settings.say("equalising channels")
    return equalize_channels(plan, channels, settings.method)


def _repair_layers(search: Search, settings: Settings) -> Search:
    """Try GPTQ with bias correction; where that does not help, bias correction alone."""
    start = search.best
    search = _round_weights(search, start.plan, start.model, settings)
    if search.best is not start:
        return search
    images = settings.dataset.images
    plan = correct_biases(start.plan, start.model, settings.scheme, images, settings.say)
    return search.with_better("bias correction", settings.build(plan), settings.criterion)


def _round_weights(
    search: Search,
    plan: QuantizationPlan,
    quantized: ir.Model,
    settings: Settings,
    suffix: str = "",
) -> Search:
    """Try GPTQ with bias correction on a plan, of which `quantized` is the model."""
    rounded = round_weights(plan, quantized, settings.scheme, settings.dataset.images, settings.say)
    name = f"rounding and bias correction{suffix}"
    return search.with_better(name, settings.build(rounded), settings.criterion)

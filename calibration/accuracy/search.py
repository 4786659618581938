"""State of the accuracy-control search: its settings, and the best candidate so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kexport.calibration.accuracy.criterion import AcceptanceCriterion, objective
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.plan import Candidate, QuantizationPlan
from kexport.calibration.algorithms.bias_correction import OutputShift
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.metrics import Quality
from kexport.calibration.progress import Say
from kexport.calibration.quantizer.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Dataset:
    """Calibration images, and the evaluation set that decides."""

    images: Inputs
    """Samples to calibrate on, as the graph takes them, batch first."""
    evaluator: Evaluator


@dataclass(frozen=True, slots=True)
class Settings:
    """The inputs of accuracy control that do not change during the search."""

    dataset: Dataset
    scheme: Scheme
    criterion: AcceptanceCriterion
    method: str
    """The range estimator (`options.calibration.METHODS`)."""
    int8_share: float
    """The smallest share of the MACs that stays in int8."""
    say: Say

    def build(self, plan: QuantizationPlan) -> Candidate:
        """Quantize a plan, and evaluate the result."""
        model = plan.quantize(self.scheme)
        return Candidate(plan, model, self.dataset.evaluator.evaluate(model))


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One step of the search: its name, the quality it reached, and whether it was kept."""

    name: str
    quality: Quality
    kept: bool


@dataclass(frozen=True, slots=True)
class Search:
    """The best candidate so far, and the steps that led to it."""

    best: Candidate
    steps: tuple[SearchStep, ...]
    shifts: tuple[OutputShift, ...] = ()
    """The output shift of each layer with weights, as last measured."""

    def with_better(
        self, name: str, candidate: Candidate, criterion: AcceptanceCriterion
    ) -> Search:
        """Record a candidate, and keep it if fewer classes are predicted to change (`objective`).

        A candidate that fails the criterion never replaces one that meets it.
        """
        best, quality = self.best.quality, candidate.quality
        allowed = criterion.is_met(quality) or not criterion.is_met(best)
        return self.record(name, candidate, kept=objective(quality) < objective(best) and allowed)

    def reevaluated(self, settings: Settings) -> Search:
        """Evaluate the best candidate on all images, where the search so far used some of them."""
        evaluator = settings.dataset.evaluator
        if self.best.quality.images == len(evaluator.images):
            return self
        settings.say("judging on all images")
        judged = replace(self.best, quality=evaluator.evaluate(self.best.model))
        return self.record(f"judged on {len(evaluator.images)} images", judged, kept=True)

    def record(self, name: str, candidate: Candidate, *, kept: bool) -> Search:
        """Record a candidate, which becomes the best one if it is kept."""
        return replace(
            self,
            best=candidate if kept else self.best,
            steps=(*self.steps, SearchStep(name, candidate.quality, kept)),
            shifts=candidate.plan.shifts or self.shifts,
        )

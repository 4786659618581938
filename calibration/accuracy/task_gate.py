"""The gate of tasks other than classify, by their measure on labelled images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.accuracy.criterion import Criterion
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.intervals import Interval
from kexport.calibration.accuracy.verdict import INTERVAL_CONFIDENCE, Verdict, judge
from kexport.calibration.execution.session import run_batches
from kexport.calibration.metrics import Quality
from kexport.measures.judge import Judge
from kexport.measures.measure import compare


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvaluator(Evaluator):
    """Held-out images with what is right for them; answers are read as on the device."""

    judge: Judge
    kept: tuple[Any, ...]
    """What the measure keeps of Keras' answers."""

    def first(self, count: int) -> TaskEvaluator:
        """Return the evaluator of the first `count` images."""
        return replace(
            self,
            images=self.images[:count],
            reference=self.reference[:count],
            judge=self.judge.first(count),
            kept=self.kept[:count],
        )

    def evaluate(self, model: ir.Model) -> Quality:
        """Measure the quality of `model` on all images, with the measure of its task."""
        first = model.graph.outputs[0].name or ""
        scores, kept = [], list[Any]()
        names = tuple(dict.fromkeys((*self.judge.task.outputs, first)))
        for outputs in run_batches(model, self.images, names):
            scores.append(outputs[first])
            kept += self.judge.keep(outputs, len(kept))
        return self._with_measure(self._compare(self.rows(np.concatenate(scores))), kept)

    def evaluate_reference(self) -> Quality:
        """Measure the quality of Keras itself."""
        return self._with_measure(self._compare(self.rows(self.reference)), list(self.kept))

    def entry(self, quality: Quality) -> dict[str, Any]:
        """Build the manifest's entry about all measures of a model that was evaluated."""
        assert quality.measured is not None, "a task's evaluator measures each model"
        return self.judge.entry(quality.measured.kept)

    def _with_measure(self, quality: Quality, kept: list[Any]) -> Quality:
        found = compare(self.judge.measure, self.kept, kept, INTERVAL_CONFIDENCE)
        return replace(quality, measured=found)


@dataclass(frozen=True, slots=True)
class TaskCriterion(Criterion):
    """The largest loss of a task's measure."""

    def verdict(self, quality: Quality) -> Verdict:
        """Judge a model by the confidence interval of its loss.

        For another number of images its width is taken to fall with the square root of the number.
        """
        found = quality.measured
        assert found is not None, "a task's evaluator measures each model"
        drop, (low, high) = found.drop, found.interval

        def interval_at(images: float) -> Interval:
            scale = math.sqrt(quality.images / images)
            return Interval(drop - (drop - low) * scale, drop + (high - drop) * scale)

        return judge(drop, quality.images, interval_at, self.max_drop)

    def predicted_drop(self, quality: Quality) -> float:
        """Predict the loss from margins and noise; where there is no margin, as it was measured."""
        assert quality.measured is not None, "a task's evaluator measures each model"
        return quality.measured.predicted


def task_criterion(evaluator: TaskEvaluator, max_drop: float) -> TaskCriterion:
    """Build the criterion of labelled images."""
    name = evaluator.judge.measure.name
    return TaskCriterion(name, max_drop, evaluator.evaluate_reference())

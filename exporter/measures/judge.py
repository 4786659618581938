"""From the outputs of a model on labelled images to a measure, by the code that runs on devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kexport.arrays import Array
from kexport.measures.measure import Measure, value_interval
from kexport.measures.resample import CONFIDENCE
from kexport.runtime.placement import Placement
from kexport.runtime.predict import Settings, answer
from kexport.runtime.task import Task


@dataclass(frozen=True, slots=True)
class Judge:
    """Reads the outputs for labelled images as a bundle's runtime does, and measures the answers.

    The threshold, the suppression of boxes, and the way back to the image's own size are those of
    the device. Of a multilabel answer all scores are read, since some measures rank them.
    """

    task: Task
    labels: tuple[str, ...] | None
    measure: Measure
    rows: tuple[int, ...]
    """The place of each image among the examples."""
    placements: tuple[Placement, ...]
    """Where each image lies in what the model sees."""

    def first(self, count: int) -> Judge:
        """Return the judge of the first `count` images."""
        return replace(self, rows=self.rows[:count], placements=self.placements[:count])

    def keep(self, outputs: Mapping[str, Array], start: int) -> list[Any]:
        """Return what the measure keeps of the answers for a batch of images.

        Args:
            outputs: the outputs that the task reads by name, batch first.
            start: the place of the batch's first image.
        """
        settings = Settings(threshold=0.0) if self.task.name == "multilabel" else Settings()
        kept = []
        for index in range(len(outputs[self.task.outputs[0]])):
            place = start + index
            of_one = {name: outputs[name][index] for name in self.task.outputs}
            given = answer(self.task, of_one, self.labels, settings, self.placements[place])
            kept.append(self.measure.keep(given, self.rows[place]))
        return kept

    def entry(self, kept: Sequence[Any]) -> dict[str, Any]:
        """Build the manifest's entry about a model: its measures, and the interval of the first."""
        measures = self.measure.summary(kept)
        name, value = next(iter(measures.items()))
        low, high = value_interval(self.measure, kept, CONFIDENCE)
        return {
            "images": len(kept),
            "measure": name,
            "value": value,
            "interval": [low, high],
            "measures": measures,
        }

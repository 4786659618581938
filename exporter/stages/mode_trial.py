"""Which preprocessing fits the labelled images of a task other than classify, by its measure."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras

from kexport.conversion import Converted
from kexport.errors import BadArgument
from kexport.measures.measure import Measure, compare, value_of
from kexport.measures.names import title_of, written
from kexport.measures.resample import CONFIDENCE
from kexport.options.image_input import ImageInput
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.source.preprocessing import prepare
from kexport.stages import labelled, measured
from kexport.stages.keras_runner import runner_for
from kexport.zoo import Mode


@dataclass(frozen=True, slots=True)
class Trial:
    """The best mode, and the task's measure of Keras with each mode, the best first."""

    best: str
    measure: str
    values: Mapping[str, float]
    images: int

    def entry(self) -> dict[str, Any]:
        """Build the manifest's entry `preprocessing.chosen`."""
        return {"images": self.images, "measure": self.measure, "values": dict(self.values)}


def try_modes(
    data: measured.Labelled,
    model: keras.Model,
    converted: Converted,
    pixels: ImageInput,
    modes: Sequence[Mode],
    say: Progress,
) -> Trial:
    """Measure Keras with each mode, and choose the best.

    Another is as good unless the interval of what it loses lies above zero, with a confidence for
    all others together (Bonferroni's inequality).

    Raises:
        BadArgument: the images do not tell the best from another, no mode is better than a guess,
            or the images cannot be used.
    """
    form = labelled.form_of(model, pixels)
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        images = data.load(form, Path(scratch), say)
        judge = data.judge(images, form)
        runner = runner_for(channels_last(model), converted.model, len(modes) * len(images.images))
        kept: dict[str, Sequence[Any]] = {}
        for mode in modes:
            prepared = partial(prepare, mode=mode)
            found = measured.answers(judge, converted.outputs, runner, images.images, prepared, say)
            kept[mode] = [one for some, _ in found for one in some]
    return choose(judge.measure, kept)


def choose(measure: Measure, kept: Mapping[str, Sequence[Any]]) -> Trial:
    """Choose by what was kept of the answers with each mode; raises as `try_modes`."""
    first, count = next(iter(kept)), len(next(iter(kept.values())))
    lost = {mode: compare(measure, kept[first], kept[mode], CONFIDENCE).drop for mode in kept}
    best, *others = sorted(kept, key=lambda mode: lost[mode])
    values = {mode: value_of(measure, kept[mode]) for mode in (best, *others)}
    told = [f"  {mode:<7} {written(measure.name, value)}" for mode, value in values.items()]
    doubt = measure.doubt(kept[best])
    if doubt is not None:
        raise BadArgument(
            f"with no preprocessing that was tried is Keras better than a guess: with {best} it "
            f"{doubt}, on {count} labelled images",
            hint="compare the labelled data with training, or give `recipe.scale`, `recipe.mean` "
            "and `recipe.std`",
            details=told,
        )
    confidence = 1 - (1 - CONFIDENCE) / max(len(others), 1)
    rivals = [
        mode
        for mode in others
        if compare(measure, kept[best], kept[mode], confidence).interval[0] <= 0
    ]
    if rivals:
        raise BadArgument(
            f"{title_of(measure.name)} on {count} labelled images does not tell {best} from "
            f"{' and '.join(rivals)}",
            hint="give more images, or say with `recipe.preprocess` what training did",
            details=told,
        )
    return Trial(best, measure.name, values, count)

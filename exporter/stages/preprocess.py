"""Preprocessing of the images: what the user said, what is inside the model, or what fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from kexport.calibration.accuracy.preprocessing_choice import Choice, choose
from kexport.conversion import Converted
from kexport.errors import BadArgument
from kexport.options.preprocessing import (
    AUTO,
    EFFECTS,
    GRAY_MODES,
    MODES,
    Asked,
    Preprocessing,
    described,
    is_known,
)
from kexport.parity import samples
from kexport.progress import Progress
from kexport.source.backbones import backbone, modes
from kexport.source.clone import channels_last
from kexport.source.open import Source
from kexport.source.own_preprocessing import FirstSteps, first_steps
from kexport.source.preprocessing import prepare
from kexport.stages import labelled
from kexport.stages.request import Request


@dataclass(frozen=True, slots=True)
class Settled:
    """How the images of a model are preprocessed."""

    mode: Preprocessing
    layers: tuple[str, ...] = ()
    """The layers inside the model that preprocess as well."""
    chosen: dict[str, Any] | None = None
    """Where labelled images chose the mode: their number, and Keras' accuracy with each mode."""
    answers: labelled.Answers | None = None
    """Where they did: what Keras gave for them in this mode."""


def look_inside(source: Source) -> FirstSteps:
    """Find the preprocessing inside a model of images; refuse a model without any.

    Warns if a model preprocesses inside, and the user asks for more before it.

    Raises:
        BadArgument: a model of one's own takes images, its layers do not preprocess them, and
            nobody said how they are preprocessed; or "auto" for a model without an image input.
    """
    if not samples.is_image_model(source.model):
        if source.mode == AUTO:
            raise BadArgument(
                f"model {source.model.name!r} has no image input to preprocess",
                hint="leave out `recipe.preprocess`",
            )
        return FirstSteps()
    found = first_steps(source.model)
    if source.mode is None and not found.preprocessing:
        raise _unsaid(source, found)
    if found.preprocessing and is_known(source.mode) and source.mode != "none":
        labelled.warn(
            f"the images of {source.name} are preprocessed twice: as asked "
            f"({described(source.mode)}), and by its layers ({', '.join(found.preprocessing)}); "
            "leave out `recipe.preprocess` unless training did both"
        )
    return found


def settle(
    mode: Asked | None,
    inside: FirstSteps,
    model: keras.Model,
    converted: Converted,
    labels: Sequence[str] | None,
    request: Request,
    say: Progress,
) -> Settled:
    """Return the preprocessing of a model's images; with "auto", try which one fits.

    Args:
        mode: what the user asked for.
        inside: what the model's layers do first.
        model: the model, with the outputs of the bundle.
        converted: its graph.
        labels: the labels of its classes.
        request: the arguments of the export.
        say: called with a few words when a step starts.

    Raises:
        BadArgument: labelled images do not tell the modes apart, or cannot be used.
    """
    if is_known(mode):
        return Settled(mode, inside.preprocessing)
    if mode is None:
        return Settled("none", inside.preprocessing)
    say("trying how images are preprocessed")
    classes = labelled.classes_of(converted.outputs, labels)
    form = labelled.form_of(model, request.image_input)
    tried = MODES if form.channels == 3 else GRAY_MODES
    answers = labelled.answers(
        channels_last(model),
        converted.model,
        request.calibration.eval_data or "",
        classes,
        form,
        {mode: partial(prepare, mode=mode) for mode in tried},
        seed=request.recipe.seed,
        say=say,
    )
    choice = choose({mode: found.right for mode, found in answers.items()})
    best = next(mode for mode in tried if mode == choice.best)
    _refuse_undecided(choice, answers[best], classes)
    say(f"the images fit {described(best)}")
    chosen = {"images": len(answers[best].labels), "top1": dict(choice.top1)}
    return Settled(best, inside.preprocessing, chosen, answers[best])


def _unsaid(source: Source, found: FirstSteps) -> BadArgument:
    """Return the error for images of which nobody said how they are preprocessed."""
    first = ", ".join(found.others[:1]) or "nothing that reads them"
    known = backbone(source.model)
    return BadArgument(
        f"{source.name} takes images, its layers do not preprocess them (the first is {first}), "
        "and `recipe.preprocess` is not given",
        hint="say what training did to images in 0..255" if known is None else _likely(known),
        details=_table(
            [*EFFECTS.items(), (AUTO, "what fits the labelled images of `calibration.eval_data`")]
        ),
    )


def _likely(module: str) -> str:
    """Say in which mode a known backbone takes its images."""
    found = modes(module)
    listed = " or ".join(
        f"`recipe.preprocess={mode!r}`"
        + (f" ({', '.join(row.builder for row in rows)})" if len(found) > 1 else "")
        for mode, rows in found.items()
    )
    return f"its layers are those of keras.applications.{module}, trained with {listed}"


def _refuse_undecided(choice: Choice, answers: labelled.Answers, classes: labelled.Classes) -> None:
    found = labelled.accuracy(answers, classes)
    table = _table((mode, f"{share:.1%}") for mode, share in choice.top1.items())
    if found.doubt == "chance":
        raise BadArgument(
            f"with no preprocessing that was tried is Keras better than chance: it is right on "
            f"{found.top1:.1%} of {found.images} labelled images",
            hint="compare the order of the classes with training, or give `recipe.scale`, "
            "`recipe.mean` and `recipe.std`",
            details=table,
        )
    if choice.rivals:
        raise BadArgument(
            f"{found.images} labelled images do not tell {choice.best} from "
            f"{' and '.join(choice.rivals)}",
            hint="give more images, or say with `recipe.preprocess` what training did",
            details=table,
        )


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {name:<7} {value}" for name, value in rows]

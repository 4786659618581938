"""Preprocessing of the images: what the user said, what is inside the model, or what fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import keras

from kexport.calibration.accuracy.preprocessing_choice import Choice, choose
from kexport.conversion import Converted, input_specs
from kexport.errors import BadArgument
from kexport.options.by_input import choices, of_input, refuse_unknown
from kexport.options.image_input import ImageInput
from kexport.options.input_image import IMAGE
from kexport.options.preprocessing import (
    AUTO,
    EFFECTS,
    GRAY_MODES,
    MODES,
    RAW,
    Asked,
    AskedByInput,
    described,
    is_known,
)
from kexport.options.preprocessing import Settled as Chosen
from kexport.progress import Progress
from kexport.source.backbones import backbone, modes
from kexport.source.clone import channels_last
from kexport.source.image_inputs import image_specs
from kexport.source.open import Source
from kexport.source.own_preprocessing import FirstSteps, first_steps
from kexport.source.preprocessing import prepare
from kexport.stages import labelled, measured
from kexport.stages.mode_trial import try_modes
from kexport.stages.request import Request


@dataclass(frozen=True, slots=True)
class Settled:
    """How the images of a model are preprocessed, by the names of its inputs."""

    modes: Mapping[str, Chosen]
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The layers inside the model that preprocess as well."""
    chosen: dict[str, Any] | None = None
    """Where labelled images chose the mode: their number, and Keras' measure with each mode."""
    answers: labelled.Answers | None = None
    """Where they did: what Keras gave for them in this mode."""


def look_inside(source: Source) -> dict[str, FirstSteps]:
    """Find the preprocessing inside a model, by its image inputs; refuse images without any.

    Warns if a model preprocesses inside, and the user asks for more before it.

    Raises:
        BadArgument: a model of one's own takes images, its layers do not preprocess them, and
            nobody said how they are preprocessed; "auto" for a model whose only input is no image;
            or a preprocessing for an input that is none.
    """
    asked = source.mode
    refuse_unknown(asked, [spec.name for spec in image_specs(source.model)], "`recipe.preprocess`")
    specs = image_specs(source.model, asked)
    inputs = len(input_specs(source.model))
    if AUTO in choices(asked) and (len(specs) != 1 or inputs != 1):
        raise BadArgument(
            f"model {source.model.name!r} has "
            + (
                f"{inputs} inputs, and the modes are tried on labelled images for one"
                if specs
                else "no image input to preprocess"
            ),
            hint="say with `recipe.preprocess` what training did"
            if specs
            else "leave out `recipe.preprocess`",
        )
    words: tuple[Asked, ...] = choices(asked)
    said = [described(word) for word in words if is_known(word) and word != "none"]
    if said and not specs:
        raise BadArgument(
            f"model {source.model.name!r} has no image input to preprocess ({said[0]})",
            hint="leave out `recipe.preprocess`",
        )
    found = {spec.name: first_steps(source.model, spec.place) for spec in specs}
    for name, steps in found.items():
        of = f"the input {name!r} of {source.name}" if inputs > 1 else source.name
        _check_asked(source, of, name, of_input(asked, name), steps)
    return found


def _check_asked(source: Source, of: str, name: str, mode: Asked | None, steps: FirstSteps) -> None:
    """Refuse an image input without preprocessing; warn of one that has two."""
    if mode is None and not steps.preprocessing:
        raise _unsaid(source, of, name, steps)
    if steps.preprocessing and is_known(mode) and mode != "none":
        labelled.warn(
            f"the images of {of} are preprocessed twice: as asked "
            f"({described(mode)}), and by its layers ({', '.join(steps.preprocessing)}); "
            "leave out `recipe.preprocess` unless training did both"
        )


def settle(
    asked: AskedByInput,
    inside: Mapping[str, FirstSteps],
    model: keras.Model,
    converted: Converted,
    task: Mapping[str, Any],
    labels: Sequence[str] | None,
    request: Request,
    say: Progress,
) -> Settled:
    """Return the preprocessing of a model's images; with "auto", try which one fits.

    Args:
        asked: what the user asked for.
        inside: what the model's layers do first, by image input.
        model: the model, with the outputs of the bundle.
        converted: its graph.
        task: the manifest's entry of its task.
        labels: the labels of its classes.
        request: the arguments of the export.
        say: called with a few words when a step starts.

    Raises:
        BadArgument: labelled images do not tell the modes apart, or cannot be used.
    """
    layers = {name: steps.preprocessing for name, steps in inside.items()}
    if AUTO not in choices(asked):
        names = [spec.name for spec in image_specs(model)]
        modes = {name: of_input(asked, name) or "none" for name in names}
        return Settled(cast(dict[str, Chosen], modes), layers)
    say("trying how images are preprocessed")
    pixels = of_input(request.image_input, IMAGE) or ImageInput()
    form = labelled.form_of(model, pixels)
    tried = MODES if form.channels == 3 else GRAY_MODES
    data = measured.data_of(task, converted.outputs, labels, pixels, request)
    if data is not None:
        trial = try_modes(data, model, converted, pixels, tried, say)
        best = next(mode for mode in tried if mode == trial.best)
        say(f"the images fit {described(best)}")
        return Settled({IMAGE: best}, layers, trial.entry())
    classes = labelled.classes_of(converted.outputs, labels)
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
    return Settled({IMAGE: best}, layers, chosen, answers[best])


def _unsaid(source: Source, of: str, name: str, found: FirstSteps) -> BadArgument:
    """Return the error for images of which nobody said how they are preprocessed."""
    first = ", ".join(found.others[:1]) or "nothing that reads them"
    known = backbone(source.model)
    alone = name == IMAGE
    rows = [*EFFECTS.items(), (RAW, "no image: numbers, as Keras takes them")]
    if alone:
        rows.append((AUTO, "what fits the labelled images of `calibration.eval_data`"))
    hint = "say what training did to images in 0..255"
    if not alone:
        hint += f": `recipe.preprocess={{{name!r}: 'unit'}}`, or one mode for all inputs"
    return BadArgument(
        f"{of} takes images, its layers do not preprocess them (the first is {first}), "
        "and `recipe.preprocess` is not given",
        hint=hint if known is None else _likely(known),
        details=_table(rows),
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

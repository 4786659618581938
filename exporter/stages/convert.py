"""Stage 2: from a Keras model to a simplified ONNX graph, with samples to compare the two on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from kexport import tasks
from kexport.conversion import convert_model
from kexport.conversion.loadable import refuse_unloadable
from kexport.errors import BadArgument, UnsupportedModel
from kexport.graph.passes import Artifact
from kexport.keras_graph import flatten_layers
from kexport.options.by_input import of_input, refuse_unknown
from kexport.options.image_input import ImageInput
from kexport.outputs import Output, Ranking, best_classes
from kexport.parity import samples
from kexport.progress import Progress
from kexport.source import labels
from kexport.source.image_inputs import image_specs
from kexport.source.intermediate import at_layers
from kexport.source.open import Source
from kexport.stages import optimize
from kexport.stages.preprocess import Settled, look_inside, settle
from kexport.stages.request import Request


@dataclass(frozen=True, slots=True)
class Subject:
    """A converted model, and what is known of it."""

    source: Source
    preprocessing: Settled
    """What happens to its images before its first layer."""
    model: keras.Model
    """The Keras model with the outputs that the bundle has."""
    artifact: Artifact
    """Its simplified graph in float32, with the bundle's inputs."""
    outputs: tuple[Output, ...]
    """The graph's outputs, before the best classes take the place of all."""
    task: dict[str, Any]
    """The manifest's entry `task`."""
    ranking: Ranking | None
    """How they do so, if that was requested."""
    traced: tuple[str, ...]
    """Layers that were converted by tf2onnx."""
    labels: tuple[str, ...] | None
    samples: samples.Samples

    @property
    def shown(self) -> tuple[Output, ...]:
        """The outputs of the bundle."""
        return self.outputs if self.ranking is None else self.ranking.replace(self.outputs)


def convert(source: Source, request: Request, say: Progress) -> Subject:
    """Convert a model, and simplify its graph with the requested inputs and batch.

    Raises:
        UnsupportedModel: a layer has no ONNX form, or ONNX Runtime has no kernel for its types.
        BadArgument: output layers, labels, an image input or `top_k` that do not suit the model;
            or a preprocessing that nobody gave, or that labelled images do not tell.
    """
    inside = look_inside(source)
    model = at_layers(source.model, request.output_layers)
    say("converting")
    converted = convert_model(model, kind=None if request.output_layers else source.kind)
    _refuse_numbers(converted.outputs)
    task = tasks.resolve(request.task, converted.outputs, _evidence(request))
    if task.entry["name"] in ("segment", "image"):
        _refuse_channels_first(model)
    names = labels.fit(request.class_names or source.labels, task.labels, request.labels)
    if request.top_k is not None and task.entry["name"] != "classify":
        raise BadArgument(
            f"the best classes are for the task classify, and this one is {task.entry['name']}",
            hint="leave out `top_k`, or choose the task with `task.name='classify'`",
        )
    ranking = None if request.top_k is None else best_classes(task.outputs, request.top_k)
    specs = image_specs(model, source.mode)
    refuse_unknown(
        request.image_input, [spec.name for spec in specs], "an option of the image input"
    )
    images = {
        spec.name: optimize.readable(
            of_input(request.image_input, spec.name) or ImageInput(), request.target
        )
        for spec in specs
    }
    batch = optimize.fixed(request.batch)
    told = replace(converted, outputs=task.outputs)
    settled = settle(source.mode, inside, model, told, task.entry, names, request, say)
    inputs = samples.make(
        model,
        settled.modes,
        request.recipe.seed,
        images or request.image_input,
        batch,
        request.sampling,
    )
    artifact = optimize.simplified(converted, inputs, request.batch, say)
    refuse_unloadable(artifact.model)
    traced = tuple(converted.traced)
    entry = task.entry if ranking is None else ranking.renamed(task.entry)
    return Subject(
        source, settled, model, artifact, task.outputs, entry, ranking, traced, names, inputs
    )


def _refuse_numbers(outputs: Sequence[Output]) -> None:
    """Refuse an output without axes: a bundle answers each sample, and it is one for all."""
    number = next((output for output in outputs if output.rank == 0), None)
    if number is not None:
        raise UnsupportedModel(
            f"output {number.name!r} is a single number for the whole batch, without an axis",
            hint="keep the first axis, as axis=-1 does, or use kexport.convert",
        )


def _refuse_channels_first(model: keras.Model) -> None:
    """Refuse a model whose last axis may not be the channels, as masks and images have them."""
    layers = flatten_layers(model)
    first = next((x for x in layers if getattr(x, "data_format", "") == "channels_first"), None)
    if first is not None:
        raise UnsupportedModel(
            f"layer {first.name!r} has channels first, and masks and images need channels last",
            hint="build the model with channels last, or choose the task raw with `task.name`",
        )


def _evidence(request: Request) -> tasks.Evidence:
    return tasks.Evidence(
        labels=None if request.class_names is None else len(request.class_names),
        ranked=request.top_k is not None,
        labelled=request.calibration.eval_data is not None,
    )

"""Stage 2: from a Keras model to a simplified ONNX graph, with samples to compare the two on."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from kexport.conversion import convert_model
from kexport.graph.passes import Artifact
from kexport.outputs import Output, Ranking, best_classes
from kexport.parity import samples
from kexport.progress import Progress
from kexport.source import labels
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
        UnsupportedModel: a layer has no ONNX form.
        BadArgument: output layers, labels, an image input or `top_k` that do not suit the model;
            or a preprocessing that nobody gave, or that labelled images do not tell.
    """
    inside = look_inside(source)
    model = at_layers(source.model, request.output_layers)
    say("converting")
    converted = convert_model(model, kind=None if request.output_layers else source.kind)
    names = labels.fit(request.class_names or source.labels, converted, request.labels)
    ranking = None if request.top_k is None else best_classes(converted.outputs, request.top_k)
    image_input = request.image_input
    if samples.is_image_model(model):
        image_input = optimize.readable(image_input, request.target)
    batch = optimize.fixed(request.batch)
    settled = settle(source.mode, inside, model, converted, names, request, say)
    inputs = samples.make(model, settled.mode, request.recipe.seed, image_input, batch)
    artifact = optimize.simplified(converted, inputs, request.batch, say)
    traced = tuple(converted.traced)
    outputs = converted.outputs
    return Subject(source, settled, model, artifact, outputs, ranking, traced, names, inputs)

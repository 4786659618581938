"""Reads a model at layers of one's choice."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kexport.errors import BadArgument, UnsupportedModel, did_you_mean


def at_layers(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """The model with the outputs of the layers `names`, in that order; itself without names.

    Raises:
        BadArgument: the model has no layer of that name.
        UnsupportedModel: the model is no graph of layers, so that it cannot be read inside.
    """
    if not names:
        return model
    if not getattr(model, "inputs", None):
        raise UnsupportedModel(
            f"model {model.name!r} is subclassed: its layers have no outputs of their own",
            hint="build it as a functional model, or leave out --output-layer",
        )
    layers = {layer.name: layer for layer in model.layers}
    for name in names:
        if name not in layers:
            hint = did_you_mean(name, layers) or "keras.Model.summary() lists the layers' names"
            raise BadArgument(f"model {model.name!r} has no layer {name!r}", hint=hint)
    outputs = [layers[name].output for name in names]
    return keras.Model(model.inputs, outputs[0] if len(outputs) == 1 else outputs, name=model.name)

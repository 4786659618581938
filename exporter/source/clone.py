"""Cloned models that compute the same in a form that can be exported and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kexport.errors import UnsupportedModel
from kexport.keras_graph import flatten_layers, is_graph, rerun, structured

HALF = frozenset({"float16", "bfloat16"})

Concerns = Callable[[Any], bool]
Instead = Callable[..., Any]

COLOURS = (1, 3)
"""Numbers of channels that an image may have."""


def in_float32(model: keras.Model) -> keras.Model:
    """Return the model with float32 arithmetic; itself where it has no other.

    Under a mixed policy the weights are float32, and float16 or bfloat16 is how Keras computes on
    the machine that trains. In a bundle, the target decides the arithmetic. While the clone is
    built, the dtype policy of the whole process is float32.

    Raises:
        UnsupportedModel: the model is subclassed, or a layer cannot be made again from its
            configuration.
    """
    if not any(_is_half(layer) for layer in flatten_layers(model)):
        return model
    _refuse_subclassed(model, "computes in half precision", "build it under the float32 policy")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # for the new models around the layers
    try:
        return _replaced(model, _is_half, _call_in_float32)
    finally:
        keras.config.set_dtype_policy(before)


def channels_last(model: keras.Model) -> keras.Model:
    """Return the model with channels-last convolutions; itself where it has no others.

    It has the inputs, outputs and weights of `model`, and computes the same. TensorFlow has no
    channels-first convolution for a CPU; with oneDNN it has one, which adds the wrong biases.

    Raises:
        UnsupportedModel: the model is subclassed.
    """
    if not any(_is_channels_first(layer) for layer in flatten_layers(model)):
        return model
    hint = "build it as a functional model, or with channels last"
    _refuse_subclassed(model, "puts channels first, which TensorFlow cannot compute here", hint)
    return _replaced(model, _is_channels_first, _call_channels_last)


def with_image_input(model: keras.Model) -> keras.Model:
    """Return a model that takes its only input, an image [N, C, H, W], as [N, H, W, C].

    Outputs and weights stay the same. Any other model is returned as it is.
    """
    inputs: list[keras.KerasTensor] = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or not is_graph(model):
        return model
    _, channels, height, width = inputs[0].shape
    if channels not in COLOURS or width in COLOURS:
        return model
    if not any(_is_channels_first(layer) for layer in flatten_layers(model)):
        return model
    image = keras.Input((height, width, channels), dtype=inputs[0].dtype, name="image")
    permuted = keras.layers.Permute((3, 1, 2), name="channels_first")(image)
    outputs = rerun(model, structured(model, [permuted]), _call)
    return keras.Model(image, outputs, name=model.name)


def _replaced(model: keras.Model, concerns: Concerns, instead: Instead) -> keras.Model:
    """Return the model with other calls in the place of the layers that `concerns` selects."""
    clones: dict[int, Any] = {}

    def step(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(layer) and any(map(concerns, flatten_layers(layer))):
            clones.setdefault(id(layer), _replaced(layer, concerns, instead))
            return clones[id(layer)](*args)
        if not concerns(layer):
            return layer(*args, **kwargs)
        return instead(clones, layer, *args, **kwargs)

    inputs = structured(model, model.inputs)
    return keras.Model(inputs, rerun(model, inputs, step), name=model.name)


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer(*args, **kwargs)


def _call_in_float32(clones: dict[int, Any], layer: Any, *args: Any, **kwargs: Any) -> Any:
    if id(layer) not in clones:
        try:
            clones[id(layer)] = type(layer).from_config(_config_in_float32(layer.get_config()))
        except (TypeError, ValueError) as error:
            raise UnsupportedModel(
                f"layer {layer.name!r} computes in half precision, and cannot be cloned in float32 "
                f"from its configuration",
                hint="give its class a get_config, or build the model under the float32 policy",
            ) from error
    outputs = clones[id(layer)](*args, **kwargs)
    clones[id(layer)].set_weights(layer.get_weights())
    return outputs


def _call_channels_last(clones: dict[int, Any], layer: Any, inputs: Any, **kwargs: Any) -> Any:
    rank = len(inputs.shape)
    if id(layer) not in clones:
        clones[id(layer)] = type(layer).from_config(
            {**layer.get_config(), "data_format": "channels_last"}
        )
    last = keras.ops.transpose(inputs, (0, *range(2, rank), 1))
    outputs = clones[id(layer)](last, **kwargs)
    clones[id(layer)].set_weights(layer.get_weights())
    return keras.ops.transpose(outputs, (0, rank - 1, *range(1, rank - 1)))


def _config_in_float32(config: Any) -> Any:
    """Replace every policy of half precision in a layer's configuration by float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            compute = keras.dtype_policies.get(config).compute_dtype
            return "float32" if compute in HALF else config
        return {key: _config_in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_config_in_float32(value) for value in config)
    return config


def _is_half(layer: Any) -> bool:
    return getattr(layer, "compute_dtype", None) in HALF


def _is_channels_first(layer: Any) -> bool:
    return hasattr(layer, "kernel_size") and getattr(layer, "data_format", "") == "channels_first"


def _refuse_subclassed(model: keras.Model, fault: str, hint: str) -> None:
    if not is_graph(model):
        raise UnsupportedModel(f"model {model.name!r} is subclassed and {fault}", hint=hint)

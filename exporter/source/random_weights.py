"""Random weights with which a network computes something worth comparing.

Keras' own initial weights make every Application answer 0.001 for every class of every image, and
then any wrong graph passes a comparison. `randomise` draws weights like those of a trained network:
every normalisation has the statistics of data that passed through, every bias and scale is at work,
and the answers differ between images.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kexport.keras_graph import is_graph, nodes, rerun
from kexport.source import random_values
from kexport.source.random_values import BRANCH, OPENING, WITH_KERNEL, draw_value, normal

LOGITS_DEVIATION = 2.0
"""Standard deviation of each logit over the images that `randomise` is given."""

GATE = 0.5
"""Deviation of what reaches a sigmoid inside the network, such as squeeze-and-excitation's."""

Floats = npt.NDArray[np.float32]

_DENSE = frozenset({"Dense", "Conv1D", "Conv2D", "Conv3D"})
_SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
_AFTER_A_HEAD = frozenset({"Activation", "Softmax", "Flatten", "Reshape", "Dropout", "Identity"})
_OF_A_HEAD = frozenset({"linear", "softmax", "sigmoid"})


def randomise(model: Any, seed: int, images: npt.ArrayLike | Sequence[npt.ArrayLike]) -> None:
    """Give every weight of a Keras model a new random value, in place.

    Kernels are drawn as K. He et al. do ("Delving deep into rectifiers", 2015), smooth over their
    window. Then `images` (float, as the model wants them, preprocessed; a list in the order of
    `model.inputs` where there are several) pass through once, layer by layer, as in D. Mishkin's
    and J. Matas' "All you need is a good init" (2015): each BatchNormalization takes the mean and
    variance of what reaches it; each kernel turns towards what varies at its input, and is scaled
    where no normalisation follows; each bias centres its layer's output, or opens the activation
    behind it. The last layer is scaled to `LOGITS_DEVIATION`. kexport.conditioning says why:
    rounding must not grow from layer to layer, and the answers must differ from image to image.

    A variable's values depend on `seed`, on its place in `model.weights` and on `images`, not on
    the names that Keras counts up: the same call gives the same bytes in another process on the
    same machine. Layers inside a subclassed model or layer are drawn without seeing the images.
    Give the very images on which the model is to be compared: others excite a deep network
    differently. Four to eight are enough.
    """
    _draw(model, seed)
    heads = {id(layer) for layer in _heads(model)}
    generator = np.random.default_rng([seed, len(model.weights)])

    def step(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if _runs_as_graph(layer):
            return rerun(layer, args, step)
        if type(layer).__name__ == "BatchNormalization":
            _take_statistics(layer, args[0])
        elif _is_kernel_layer(layer):
            _filter(layer, args[0], generator)
            return _centred_call(layer, args[0], generator, head=id(layer) in heads)
        return layer(*args, **kwargs)

    if _runs_as_graph(model):
        given = images if isinstance(images, (list, tuple)) else [images]
        inputs = [
            keras.ops.convert_to_tensor(array, dtype=symbol.dtype)
            for array, symbol in zip(given, model.inputs, strict=True)
        ]
        rerun(model, inputs, step)


def _draw(model: Any, seed: int) -> None:
    """Fill every floating-point weight, each from a generator of its own."""
    owners: dict[int, Any] = {}
    for layer in _owners(model):
        owners.update((id(weight), layer) for weight in layer.weights)
    for index, weight in enumerate(model.weights):
        if "float" in str(weight.dtype):
            generator = np.random.default_rng([seed, index])
            weight.assign(
                draw_value(generator, weight.name, tuple(weight.shape), owners[id(weight)])
            )
    for layer in _owners(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _take_statistics(layer: Any, inputs: Any) -> None:
    """Set a BatchNormalization's moving statistics to those of `inputs`.

    A channel that hardly varies gets a hundredth of the mean variance, for another image may
    wake it.
    """
    mean, variance = _moments(inputs, layer.axis)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(np.maximum(variance, 0.01 * variance.mean()))


def _filter(layer: Any, inputs: Any, rng: np.random.Generator) -> None:
    """Turn a kernel that mixes channels towards what varies at its input."""
    kind = type(layer).__name__
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else -1
    if kind in _SEPARABLE:
        kernel = layer.pointwise_kernel
        inputs = keras.ops.depthwise_conv(
            inputs,
            layer.depthwise_kernel,
            layer.strides,
            layer.padding,
            layer.data_format,
            layer.dilation_rate,
        )
    elif kind in _DENSE and getattr(layer, "groups", 1) == 1:
        kernel = layer.kernel
    else:
        return
    given = np.moveaxis(keras.ops.convert_to_numpy(inputs), axis, -1)
    kernel.assign(random_values.filtered(keras.ops.convert_to_numpy(kernel), given, rng))


def _centred_call(layer: Any, inputs: Any, rng: np.random.Generator, *, head: bool) -> Any:
    """Call a layer with a kernel, but set its scale and its bias by the data first."""
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        outputs = layer(inputs)
    finally:
        layer.activation = activation
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else len(outputs.shape) - 1
    mean, variance = _moments(outputs, axis)
    deviation = np.sqrt(variance.mean())
    scale = np.float32(1)
    varies = deviation > 1e-4 * np.sqrt(np.mean(mean**2))  # what varies less is rounding
    if varies and not random_values.normalised(layer):
        scale = np.float32(_deviation(layer, head=head) / deviation)
        kernel = layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
        kernel.assign(kernel * scale)
        outputs = outputs * keras.ops.cast(scale, outputs.dtype)
    if layer.bias is None:
        return activation(outputs)
    before = keras.ops.convert_to_numpy(layer.bias)
    rest = normal(rng, mean.shape, 0.3 if head else 0.2 * scale * deviation)
    if not head and (activation is not keras.activations.linear or random_values.bends(layer)):
        rest += OPENING * scale * deviation
    after = (before - mean) * scale + rest
    layer.bias.assign(after)
    shift = (after - before * scale).reshape([-1 if i == axis else 1 for i in range(outputs.ndim)])
    return activation(outputs + keras.ops.cast(shift, outputs.dtype))


def _deviation(layer: Any, *, head: bool) -> float:
    """How far the output of a layer without a normalisation behind it is to deviate."""
    if head:
        return LOGITS_DEVIATION
    if layer.activation.__name__ in ("sigmoid", "hard_sigmoid"):
        return GATE
    return BRANCH if random_values.ends_branch(layer) else 1.0


def _moments(tensor: Any, axis: int) -> tuple[Floats, Floats]:
    """Mean and variance of each channel along `axis`."""
    rank = len(tensor.shape)
    others = [number for number in range(rank) if number != axis % rank]
    mean, variance = keras.ops.moments(keras.ops.cast(tensor, "float32"), others)
    return keras.ops.convert_to_numpy(mean), keras.ops.convert_to_numpy(variance)


def _heads(model: Any) -> Iterator[Any]:
    """Yield the layers that make a model's outputs, skipping reshapes and a softmax after them."""
    if not _runs_as_graph(model):
        if _is_kernel_layer(model) and model.activation.__name__ in _OF_A_HEAD:
            yield model
        return
    makers = {id(symbol): node for node in nodes(model) for symbol in node.outputs}
    for symbol in model.outputs:
        node = makers.get(id(symbol))
        while node and type(node.operation).__name__ in _AFTER_A_HEAD:
            node = makers.get(id(node.input_tensors[0]))
        if node:
            yield from _heads(node.operation)


def _runs_as_graph(layer: Any) -> bool:
    """Tell whether `layer` is a built model whose call only runs its graph of layers."""
    return is_graph(layer) and layer.built


def _owners(model: Any) -> Iterator[Any]:
    """Yield a model, its layers, and theirs: an owner before what it owns."""
    yield model
    for layer in getattr(model, "layers", ()):
        yield from _owners(layer)


def _is_kernel_layer(layer: Any) -> bool:
    kind = type(layer)
    return kind.__name__ in WITH_KERNEL and kind is getattr(keras.layers, kind.__name__)

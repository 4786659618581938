"""Random weights of a model whose outputs are worth comparing.

With Keras' own initial weights every Application answers 0.001 for every class of every image, and
a wrong graph would pass the comparison. `randomise` draws weights like those of a trained network:
every normalization has the statistics of its inputs, no bias or scale is neutral, and the answers
differ between images.
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
"""Standard deviation of each logit over the images. Chosen by
experiment: the best class differs between images."""

GATE = 0.5
"""Standard deviation of the input of a sigmoid inside the network, as in squeeze-and-excitation.
Chosen by experiment."""

Floats = npt.NDArray[np.float32]

_DENSE = frozenset({"Dense", "Conv1D", "Conv2D", "Conv3D"})
_SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
_AFTER_A_HEAD = frozenset({"Activation", "Softmax", "Flatten", "Reshape", "Dropout", "Identity"})
_OF_A_HEAD = frozenset({"linear", "softmax", "sigmoid"})


def randomise(model: Any, seed: int, images: npt.ArrayLike | Sequence[npt.ArrayLike]) -> None:
    """Give every weight of a Keras model a new random value, in place.

    Kernels are drawn as in K. He et al., "Delving deep into rectifiers" (2015), smooth over their
    window. Then the images pass through once, layer by layer, as in D. Mishkin's and J. Matas' "All
    you need is a good init" (2015):

    - each BatchNormalization takes the mean and variance of its input;
    - each kernel turns towards the main directions of its input, and is scaled where no
      normalization follows;
    - each bias centers its layer's output, or opens the activation after it;
    - the last layer is scaled to `LOGITS_DEVIATION`.

    A variable's values depend on `seed`, on its index in `model.weights` and on `images`, but not
    on the names that Keras counts up: the same call gives the same bytes in another process on the
    same machine. Layers inside a subclassed model or layer are drawn without the images.

    Args:
        model: a built Keras model.
        seed: of all random numbers.
        images: preprocessed floats, or a list of them in the order of `model.inputs`. Take those on
            which the model is to be compared, since others excite a deep network differently; four
            to eight are enough.
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
    """Draw every floating-point weight, each from a generator of its own."""
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

    A channel that hardly varies gets a hundredth of the mean variance (chosen by experiment),
    because it may vary with other images.
    """
    mean, variance = _moments(inputs, layer.axis)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(np.maximum(variance, 0.01 * variance.mean()))


def _filter(layer: Any, inputs: Any, rng: np.random.Generator) -> None:
    """Turn a kernel that mixes channels towards the main directions of its input."""
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
    """Set the scale and the bias of a layer with a kernel by its inputs, and call it."""
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        outputs = layer(inputs)
    finally:
        layer.activation = activation
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else len(outputs.shape) - 1
    mean, variance = _moments(outputs, axis)
    deviation = np.sqrt(variance.mean())
    scale = np.float32(1)
    varies = deviation > 1e-4 * np.sqrt(np.mean(mean**2))  # smaller ones are rounding
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
    """Return the standard deviation for the output of a layer without a normalization after it."""
    if head:
        return LOGITS_DEVIATION
    if layer.activation.__name__ in ("sigmoid", "hard_sigmoid"):
        return GATE
    return BRANCH if random_values.ends_branch(layer) else 1.0


def _moments(tensor: Any, axis: int) -> tuple[Floats, Floats]:
    """Return mean and variance of each channel along `axis`."""
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

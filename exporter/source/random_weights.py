"""Random weights with which a network computes something worth comparing.

Keras' own initial weights make every Application answer 0.001 for every class of every image, and
then any wrong graph passes a comparison. `randomise` draws weights like those of a trained network:
every normalisation has the statistics of data that passed through, every bias and scale is at work,
and the answers differ between images.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kexport.needs import need
from kexport.source import random_values
from kexport.source.random_values import BRANCH, OPENING, WITH_KERNEL, draw_value, normal

LOGITS_DEVIATION = 2.0
"""Standard deviation of each logit over the images that `randomise` is given."""

GATE = 0.5
"""Deviation of what reaches a sigmoid inside the network, such as squeeze-and-excitation's."""

Floats = npt.NDArray[np.float32]
Step = Callable[..., Any]

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
    after it. The last layer is scaled to `LOGITS_DEVIATION`; see `source.random_values` for why:
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
        if graph := _graph(layer):
            return _replay(graph, args, step)
        if type(layer).__name__ == "BatchNormalization":
            _take_statistics(layer, args[0])
        elif _is_kernel_layer(layer):
            _filter(layer, args[0], generator)
            return _centred_call(layer, args[0], generator, head=id(layer) in heads)
        return layer(*args, **kwargs)

    if graph := _graph(model):
        given = images if isinstance(images, (list, tuple)) else [images]
        convert = need("keras").ops.convert_to_tensor
        inputs = [
            convert(array, dtype=symbol.dtype)
            for array, symbol in zip(given, graph.inputs, strict=True)
        ]
        _replay(graph, inputs, step)


def _draw(model: Any, seed: int) -> None:
    """Fill every floating-point weight, each from a generator of its own."""
    owners: dict[int, Any] = {}
    for layer in _layers(model):
        owners.update((id(weight), layer) for weight in layer.weights)
    for index, weight in enumerate(model.weights):
        if "float" in str(weight.dtype):
            generator = np.random.default_rng([seed, index])
            weight.assign(
                draw_value(generator, weight.name, tuple(weight.shape), owners[id(weight)])
            )
    for layer in _layers(model):
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
    keras = need("keras")
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
    keras = need("keras")
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
    ops = need("keras").ops
    rank = len(tensor.shape)
    others = [number for number in range(rank) if number != axis % rank]
    mean, variance = ops.moments(ops.cast(tensor, "float32"), others)
    return ops.convert_to_numpy(mean), ops.convert_to_numpy(variance)


def _replay(graph: Any, inputs: Any, step: Step) -> Any:
    """Run a functional model through `step`, call by call; a tensor goes after its last use.

    Keras' own run keeps every tensor to the end: 4 GB for each image in EfficientNetB7.
    """
    tree = need("keras").tree
    values = dict(zip(map(id, graph.inputs), tree.flatten(inputs), strict=True))
    nodes = _nodes(graph)
    uses = Counter(id(symbol) for node in nodes for symbol in node.input_tensors)
    uses.update(map(id, graph.outputs))
    for node in nodes:
        args, kwargs = node.arguments.fill_in(values)
        outputs = tree.flatten(step(node.operation, *args, **kwargs))
        values.update(zip(map(id, node.outputs), outputs, strict=True))
        del args, kwargs, outputs
        for symbol in node.input_tensors:
            uses[id(symbol)] -= 1
            if not uses[id(symbol)]:
                del values[id(symbol)]
    results = [values[id(symbol)] for symbol in graph.outputs]
    return results if len(results) > 1 else results[0]


def _heads(model: Any) -> Iterator[Any]:
    """Yield the layers that make a model's outputs, but for reshaping and a softmax."""
    graph = _graph(model)
    if graph is None:
        if _is_kernel_layer(model) and model.activation.__name__ in _OF_A_HEAD:
            yield model
        return
    makers = {id(symbol): node for node in _nodes(graph) for symbol in node.outputs}
    for symbol in graph.outputs:
        node = makers.get(id(symbol))
        while node and type(node.operation).__name__ in _AFTER_A_HEAD:
            node = makers.get(id(node.input_tensors[0]))
        if node:
            yield from _heads(node.operation)


def _graph(layer: Any) -> Any | None:
    """The functional model that `layer` runs when it is called, if it does no more than that."""
    keras = need("keras")
    functional = need("keras.src.models.functional").Functional
    if type(layer) is keras.Sequential and layer.built:
        return keras.Model(layer.inputs, layer.outputs)
    if isinstance(layer, functional) and type(layer).call is functional.call:
        return layer
    return None


def _nodes(graph: Any) -> list[Any]:
    """The calls of a functional model's graph, in an order in which they can be run."""
    by_depth = graph._nodes_by_depth
    calls = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in calls if not node.is_input]


def _layers(model: Any) -> Iterator[Any]:
    """Yield a model, its layers, and theirs: an owner before what it owns."""
    yield model
    for layer in getattr(model, "layers", ()):
        yield from _layers(layer)


def _is_kernel_layer(layer: Any) -> bool:
    kind = type(layer)
    return kind.__name__ in WITH_KERNEL and kind is getattr(need("keras").layers, kind.__name__)

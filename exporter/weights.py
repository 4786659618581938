"""Random weights with which a network computes something worth comparing.

Keras' own initial weights make every Application answer 0.001 for every class of every picture, and
then any wrong graph passes a comparison. `randomise` draws weights like those of a trained network:
every normalisation has the statistics of data that passed through, every bias and scale is at work,
and the answers differ between pictures.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kexport.needs import need

LOGITS_DEVIATION = 3.0
"""Deviation of each logit over the images that `randomise` is given; over others, 1 to 2."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_VARIANCE = (0.229**2, 0.224**2, 0.225**2)

Floats = npt.NDArray[np.float32]
Step = Callable[..., Any]

_WITH_KERNEL = frozenset(
    {"Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"}
    | {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D"}
    | {"SeparableConv2D"}
)
_DENSE = frozenset({"Dense", "Conv1D", "Conv2D", "Conv3D"})
_NORMALISING = frozenset({"BatchNormalization", "LayerNormalization", "GroupNormalization"})
_AFTER_A_HEAD = frozenset({"Activation", "Softmax", "Flatten", "Reshape", "Dropout", "Identity"})
_OF_A_HEAD = frozenset({"linear", "softmax", "sigmoid"})


def randomise(model: Any, seed: int, images: npt.ArrayLike | Sequence[npt.ArrayLike]) -> None:
    """Give every weight of a Keras model a new random value, in place.

    Kernels are drawn as K. He et al. do ("Delving deep into rectifiers", 2015). Then `images`
    (float, as the model wants them, preprocessed; a list in the order of `model.inputs` where there
    are several) pass through once, layer by layer. Each BatchNormalization takes the mean and
    variance of what reaches it. Each bias centres its layer's output, up to a small random rest:
    otherwise a deep network of random weights answers nearly the same for any picture. The last
    layer mixes what tells the images apart, as one that gradient descent made from zeros would, and
    is scaled to `LOGITS_DEVIATION`.

    A variable's values depend on `seed`, on its place in `model.weights` and on `images`, not on
    the names that Keras counts up: the same call gives the same bytes in another process on the
    same machine. Layers inside a subclassed model or layer are drawn without seeing the images.
    Sixteen images are enough; four keep the memory low where they are larger than 400 pixels.
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
            head = id(layer) in heads
            if head:
                _align(layer, args[0], generator)
            return _centred_call(layer, args[0], generator, head=head)
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
            weight.assign(_values(generator, weight.name, tuple(weight.shape), owners[id(weight)]))
    for layer in _layers(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _values(rng: np.random.Generator, name: str, shape: tuple[int, ...], owner: Any) -> Floats:
    """Draw one variable by the part it plays in its layer.

    A BatchNormalization shifts by about one deviation, so that most units of a ReLU after it stay
    open. With a shift of zero every layer amplifies all differences, rounding too (G. Yang et al.,
    "A mean field theory of batch normalization", 2019).
    """
    kind = type(owner).__name__
    if name == "gamma":
        low, high = (0.8, 1.2) if kind in _NORMALISING else (0.3, 0.9)
        return _uniform(rng, shape, low, high)
    if name == "beta" and kind == "BatchNormalization":
        return _normal(rng, shape, 0.2) + 1
    if name == "moving_variance":
        return _uniform(rng, shape, 0.5, 1.5)
    if name == "alpha":
        return _uniform(rng, shape, 0.1, 0.4)
    if name == "mean":
        return _imagenet(IMAGENET_MEAN, shape, otherwise=0)
    if name == "variance":
        return _imagenet(IMAGENET_VARIANCE, shape, otherwise=1)
    known = {"bias": 0.1, "beta": 0.2, "moving_mean": 0.1, "embeddings": 1.0}
    return _normal(rng, shape, known.get(name) or np.sqrt(2 / _fan_in(name, shape, owner)))


def _fan_in(name: str, shape: tuple[int, ...], owner: Any) -> float:
    """Count the inputs that a kernel sums into one output."""
    kind = type(owner).__name__
    if name == "depthwise_kernel" or kind.startswith("DepthwiseConv"):
        return float(np.prod(shape[:-2]))
    if kind.endswith("Transpose"):
        overlap = float(np.prod(shape[:-2])) / float(np.prod(owner.strides))
        return max(1.0, overlap) * shape[-1]
    return max(1.0, float(np.prod(shape[:-1])))


def _normal(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Floats:
    return rng.uniform(low, high, shape).astype(np.float32)


def _imagenet(values: tuple[float, ...], shape: tuple[int, ...], *, otherwise: float) -> Floats:
    """The statistics that EfficientNet's Normalization layer holds of pixels 0..1."""
    return np.array(values if shape == (3,) else np.full(shape, otherwise), np.float32)


def _take_statistics(layer: Any, inputs: Any) -> None:
    """Set a BatchNormalization's moving statistics to those of `inputs`.

    A channel that hardly varies gets a hundredth of the mean variance, for another picture may
    wake it.
    """
    mean, variance = _moments(inputs, layer.axis)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(np.maximum(variance, 0.01 * variance.mean()))


def _align(layer: Any, inputs: Any, rng: np.random.Generator) -> None:
    """Give a head random mixtures of the images' own features as its kernel, and a tenth of noise.

    Rounding and faults spread over all features, the images only over a few directions: a kernel
    without preference would see mostly the former.
    """
    if type(layer).__name__ not in _DENSE or any(size != 1 for size in inputs.shape[1:-1]):
        return
    height, width = layer.kernel.shape[-2:]
    features = need("keras").ops.convert_to_numpy(inputs).reshape(-1, height).astype(np.float32)
    features -= features.mean(axis=0)
    mixtures = features.T @ rng.standard_normal((len(features), width), dtype=np.float32)
    mixtures /= max(float(np.sqrt(np.mean(mixtures**2))), 1e-12)
    kernel = np.sqrt(0.9) * mixtures + np.sqrt(0.1) * rng.standard_normal(mixtures.shape)
    layer.kernel.assign(np.broadcast_to(np.sqrt(2 / height) * kernel, layer.kernel.shape))


def _centred_call(layer: Any, inputs: Any, rng: np.random.Generator, *, head: bool) -> Any:
    """Call a layer with a kernel, but set its bias by the data first, and a head's scale."""
    keras = need("keras")
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        outputs = layer(inputs)
    finally:
        layer.activation = activation
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else len(outputs.shape) - 1
    mean, variance = _moments(outputs, axis)
    scale = np.float32(1)
    if head and variance.mean() > 0:
        scale = LOGITS_DEVIATION / np.sqrt(variance.mean())
        kernel = layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
        kernel.assign(kernel * scale)
        outputs = outputs * keras.ops.cast(scale, outputs.dtype)
    if layer.bias is None:
        return activation(outputs)
    before = keras.ops.convert_to_numpy(layer.bias)
    after = (before - mean) * scale + _normal(rng, mean.shape, 0.3 if head else 0.1)
    layer.bias.assign(after)
    shift = (after - before * scale).reshape([-1 if i == axis else 1 for i in range(outputs.ndim)])
    return activation(outputs + keras.ops.cast(shift, outputs.dtype))


def _moments(tensor: Any, axis: int) -> tuple[Floats, Floats]:
    """Mean and variance of each channel along `axis`."""
    ops = need("keras").ops
    rank = len(tensor.shape)
    others = [number for number in range(rank) if number != axis % rank]
    mean, variance = ops.moments(ops.cast(tensor, "float32"), others)
    return ops.convert_to_numpy(mean), ops.convert_to_numpy(variance)


def _replay(graph: Any, inputs: Any, step: Step) -> Any:
    """Run a functional model through `step`, call by call; a tensor goes after its last use.

    Keras' own run keeps every tensor to the end: 4 GB for each picture in EfficientNetB7.
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
    return kind.__name__ in _WITH_KERNEL and kind is getattr(need("keras").layers, kind.__name__)

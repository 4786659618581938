"""Which rule converts which Keras class.

A rule is a function `rule(graph, layer, *inputs)` that emits ONNX nodes and returns the result. The
tables below are all there is: a class that stands in neither goes through tf2onnx
(`conversion.traced`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from kexport.conversion.rules import (
    activation,
    applications,
    conv,
    dense,
    merge,
    norm,
    operations,
    pixels,
    pool,
    shape,
)
from kexport.conversion.rules.identity import identity

Rule = Callable[..., Any]

LAYERS: dict[type, Rule] = {
    layers.Activation: activation.activation,
    layers.ActivityRegularization: identity,
    layers.Add: merge.pairwise("Add"),
    layers.AlphaDropout: identity,
    layers.Average: merge.average,
    layers.AveragePooling1D: pool.average_pool,
    layers.AveragePooling2D: pool.average_pool,
    layers.AveragePooling3D: pool.average_pool,
    layers.BatchNormalization: norm.batch_normalization,
    layers.Concatenate: merge.concatenate,
    layers.Conv1D: conv.conv,
    layers.Conv2D: conv.conv,
    layers.Conv3D: conv.conv,
    layers.Cropping1D: shape.cropping,
    layers.Cropping2D: shape.cropping,
    layers.Cropping3D: shape.cropping,
    layers.Dense: dense.dense,
    layers.DepthwiseConv1D: conv.depthwise_conv,
    layers.DepthwiseConv2D: conv.depthwise_conv,
    layers.Dropout: identity,
    layers.ELU: activation.elu,
    layers.Flatten: shape.flatten,
    layers.GaussianDropout: identity,
    layers.GaussianNoise: identity,
    layers.GlobalAveragePooling1D: pool.global_average_pool,
    layers.GlobalAveragePooling2D: pool.global_average_pool,
    layers.GlobalAveragePooling3D: pool.global_average_pool,
    layers.GlobalMaxPooling1D: pool.global_max_pool,
    layers.GlobalMaxPooling2D: pool.global_max_pool,
    layers.GlobalMaxPooling3D: pool.global_max_pool,
    layers.Identity: identity,
    layers.LayerNormalization: norm.layer_normalization,
    layers.LeakyReLU: activation.leaky_relu,
    layers.MaxPooling1D: pool.max_pool,
    layers.MaxPooling2D: pool.max_pool,
    layers.MaxPooling3D: pool.max_pool,
    layers.Maximum: merge.pairwise("Max"),
    layers.Minimum: merge.pairwise("Min"),
    layers.Multiply: merge.pairwise("Mul"),
    layers.Normalization: pixels.normalization,
    layers.PReLU: activation.prelu,
    layers.Permute: shape.permute,
    layers.ReLU: activation.relu,
    layers.Rescaling: pixels.rescaling,
    layers.Reshape: shape.reshape,
    layers.SeparableConv1D: conv.separable_conv,
    layers.SeparableConv2D: conv.separable_conv,
    layers.Softmax: activation.softmax,
    layers.SpatialDropout1D: identity,
    layers.SpatialDropout2D: identity,
    layers.SpatialDropout3D: identity,
    layers.Subtract: merge.pairwise("Sub"),
    layers.ZeroPadding1D: shape.zero_padding,
    layers.ZeroPadding2D: shape.zero_padding,
    layers.ZeroPadding3D: shape.zero_padding,
}
"""Public layer classes. A subclass is another class: it may compute something else."""

PRIVATE: dict[str, Rule] = {
    "keras.src.applications.convnext.LayerScale": applications.layer_scale,
    "keras.src.applications.convnext.StochasticDepth": identity,
    "keras.src.applications.inception_resnet_v2.CustomScaleLayer": applications.custom_scale,
    "keras.src.ops.numpy.Add": operations.binary("Add"),
    "keras.src.ops.numpy.Divide": operations.binary("Div"),
    "keras.src.ops.numpy.Multiply": operations.binary("Mul"),
    "keras.src.ops.numpy.Subtract": operations.binary("Sub"),
    "keras.src.ops.numpy.TrueDivide": operations.binary("Div"),
}
"""Classes that Keras exports under no public name, by module and class."""


def rule_for(operation: Any) -> Rule | None:
    """The rule for a layer or operation, or None: then it has to be traced."""
    kind = type(operation)
    return LAYERS.get(kind) or PRIVATE.get(f"{kind.__module__}.{kind.__qualname__}")

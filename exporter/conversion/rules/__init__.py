"""Tables of conversion rules: the rule of each Keras class.

A rule is a function `rule(graph, layer, *inputs)` that emits ONNX nodes and returns the result. A
class that is in neither table goes through tf2onnx (`conversion.tf2onnx_fallback`), and so does a
call for which the rule raises `NoRule`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from kexport.conversion.rules import (
    activation,
    convolution,
    core,
    lookup,
    normalization,
    ops,
    other_words,
    pooling,
    preprocessing,
    recurrent,
    resize,
    search,
    shape,
)
from kexport.conversion.rules.convolution import transposed_conv
from kexport.conversion.rules.inference_noop import augmentation, identity
from kexport.conversion.rules.ops import binary, on_floats, reduction
from kexport.conversion.rules.pooling import adaptive_pool
from kexport.keras_graph import private_name

Rule = Callable[..., Any]

LAYERS: dict[type, Rule] = {
    layers.Activation: activation.activation,
    layers.ActivityRegularization: identity,
    layers.AdaptiveAveragePooling1D: adaptive_pool("AveragePool"),
    layers.AdaptiveAveragePooling2D: adaptive_pool("AveragePool"),
    layers.AdaptiveAveragePooling3D: adaptive_pool("AveragePool"),
    layers.AdaptiveMaxPooling1D: adaptive_pool("MaxPool"),
    layers.AdaptiveMaxPooling2D: adaptive_pool("MaxPool"),
    layers.AdaptiveMaxPooling3D: adaptive_pool("MaxPool"),
    layers.Add: core.pairwise("Add"),
    layers.AlphaDropout: identity,
    layers.AugMix: augmentation,
    layers.Average: core.average,
    layers.AveragePooling1D: pooling.average_pool,
    layers.AveragePooling2D: pooling.average_pool,
    layers.AveragePooling3D: pooling.average_pool,
    layers.BatchNormalization: normalization.batch_normalization,
    layers.Bidirectional: recurrent.bidirectional,
    layers.CenterCrop: resize.center_crop,
    layers.Concatenate: core.concatenate,
    layers.Conv1D: convolution.conv,
    layers.Conv1DTranspose: transposed_conv,
    layers.Conv2D: convolution.conv,
    layers.Conv2DTranspose: transposed_conv,
    layers.Conv3D: convolution.conv,
    layers.Conv3DTranspose: transposed_conv,
    layers.Cropping1D: shape.cropping,
    layers.Cropping2D: shape.cropping,
    layers.Cropping3D: shape.cropping,
    layers.CutMix: augmentation,
    layers.Dense: core.dense,
    layers.DepthwiseConv1D: convolution.depthwise_conv,
    layers.DepthwiseConv2D: convolution.depthwise_conv,
    layers.Dot: normalization.dot,
    layers.Dropout: identity,
    layers.ELU: activation.elu,
    layers.Flatten: shape.flatten,
    layers.GRU: recurrent.recurrent,
    layers.GaussianDropout: identity,
    layers.GaussianNoise: identity,
    layers.GlobalAveragePooling1D: pooling.masked_average_pool,
    layers.GlobalAveragePooling2D: pooling.global_average_pool,
    layers.GlobalAveragePooling3D: pooling.global_average_pool,
    layers.GlobalMaxPooling1D: pooling.global_max_pool,
    layers.GlobalMaxPooling2D: pooling.global_max_pool,
    layers.GlobalMaxPooling3D: pooling.global_max_pool,
    layers.GroupNormalization: normalization.group_normalization,
    layers.Identity: identity,
    layers.IntegerLookup: lookup.integer_lookup,
    layers.LSTM: recurrent.recurrent,
    layers.LayerNormalization: normalization.layer_normalization,
    layers.LeakyReLU: activation.leaky_relu,
    layers.MaxNumBoundingBoxes: augmentation,
    layers.MaxPooling1D: pooling.max_pool,
    layers.MaxPooling2D: pooling.max_pool,
    layers.MaxPooling3D: pooling.max_pool,
    layers.Maximum: core.pairwise("Max"),
    layers.Minimum: core.pairwise("Min"),
    layers.MixUp: augmentation,
    layers.Multiply: core.pairwise("Mul"),
    layers.Normalization: preprocessing.normalization,
    layers.PReLU: activation.prelu,
    layers.Permute: shape.permute,
    layers.RMSNormalization: normalization.rms_normalization,
    layers.RNN: recurrent.recurrent,
    layers.RandAugment: augmentation,
    layers.RandomBrightness: augmentation,
    layers.RandomColorDegeneration: augmentation,
    layers.RandomColorJitter: augmentation,
    layers.RandomContrast: augmentation,
    layers.RandomCrop: augmentation,
    layers.RandomElasticTransform: augmentation,
    layers.RandomErasing: augmentation,
    layers.RandomFlip: augmentation,
    layers.RandomGaussianBlur: augmentation,
    layers.RandomGrayscale: augmentation,
    layers.RandomHue: augmentation,
    layers.RandomInvert: augmentation,
    layers.RandomPerspective: augmentation,
    layers.RandomPosterization: augmentation,
    layers.RandomRotation: augmentation,
    layers.RandomSaturation: augmentation,
    layers.RandomSharpness: augmentation,
    layers.RandomShear: augmentation,
    layers.RandomTranslation: augmentation,
    layers.RandomZoom: augmentation,
    layers.ReLU: activation.relu,
    layers.RepeatVector: ops.repeat_vector,
    layers.Rescaling: preprocessing.rescaling,
    layers.Reshape: shape.reshape,
    layers.Resizing: resize.resizing,
    layers.SeparableConv1D: convolution.separable_conv,
    layers.SeparableConv2D: convolution.separable_conv,
    layers.SimpleRNN: recurrent.recurrent,
    layers.Softmax: activation.softmax,
    layers.Solarization: augmentation,
    layers.SpatialDropout1D: identity,
    layers.SpatialDropout2D: identity,
    layers.SpatialDropout3D: identity,
    layers.Subtract: core.pairwise("Sub"),
    layers.UnitNormalization: normalization.unit_normalization,
    layers.UpSampling1D: resize.up_sampling_1d,
    layers.UpSampling2D: resize.up_sampling_2d,
    layers.UpSampling3D: resize.up_sampling_3d,
    layers.ZeroPadding1D: shape.zero_padding,
    layers.ZeroPadding2D: shape.zero_padding,
    layers.ZeroPadding3D: shape.zero_padding,
}
"""Rules of the public layer classes; a subclass has none, for it may compute something else."""

MASKED: frozenset[type] = frozenset(
    {
        layers.BatchNormalization,
        layers.Bidirectional,
        layers.GRU,
        layers.GlobalAveragePooling1D,
        layers.LSTM,
        layers.RNN,
        layers.SimpleRNN,
    }
)
"""Classes whose rule takes the `mask` that their call takes; other rules are for calls without."""

PRIVATE: dict[str, Rule] = {
    "applications.convnext.LayerScale": core.layer_scale,
    "applications.convnext.StochasticDepth": identity,
    "applications.inception_resnet_v2.CustomScaleLayer": core.custom_scale,
    "ops.image.Resize": resize.resize,
    "ops.math.Erf": ops.operator("Erf"),
    "ops.math.Rsqrt": ops.rsqrt,
    "ops.nn.Elu": ops.elu,
    "ops.nn.Gelu": ops.gelu,
    "ops.nn.HardSigmoid": ops.named("hard_sigmoid"),
    "ops.nn.HardSilu": ops.named("hard_silu"),
    "ops.nn.HardTanh": ops.named("hard_tanh"),
    "ops.nn.LeakyRelu": ops.leaky_relu,
    "ops.nn.LogSigmoid": ops.named("log_sigmoid"),
    "ops.nn.LogSoftmax": ops.along_axis("LogSoftmax"),
    "ops.nn.Relu": ops.named("relu"),
    "ops.nn.Relu6": ops.named("relu6"),
    "ops.nn.Selu": ops.named("selu"),
    "ops.nn.Sigmoid": ops.named("sigmoid"),
    "ops.nn.Silu": ops.named("silu"),
    "ops.nn.Softmax": ops.along_axis("Softmax"),
    "ops.nn.Softplus": ops.named("softplus"),
    "ops.nn.Softsign": ops.named("softsign"),
    "ops.nn.SparsePlus": ops.named("sparse_plus"),
    "ops.nn.SparseSigmoid": ops.named("sparse_sigmoid"),
    "ops.nn.TanhShrink": ops.named("tanh_shrink"),
    "ops.numpy.Abs": ops.operator("Abs"),
    "ops.numpy.Absolute": ops.operator("Abs"),
    "ops.numpy.Add": on_floats(binary("Add")),
    "ops.numpy.Amax": reduction("ReduceMax"),
    "ops.numpy.Amin": reduction("ReduceMin"),
    "ops.numpy.Argmax": search.arg("ArgMax"),
    "ops.numpy.Argmin": search.arg("ArgMin"),
    "ops.numpy.Ceil": ops.operator("Ceil"),
    "ops.numpy.Clip": ops.clip,
    "ops.numpy.Concatenate": on_floats(core.concatenate),
    "ops.numpy.Cos": ops.operator("Cos"),
    "ops.numpy.Cross": other_words.cross,
    "ops.numpy.Divide": on_floats(binary("Div")),
    "ops.numpy.Exp": ops.operator("Exp"),
    "ops.numpy.ExpandDims": ops.expand_dims,
    "ops.numpy.Floor": ops.operator("Floor"),
    "ops.numpy.Inner": other_words.inner,
    "ops.numpy.IsIn": other_words.is_in,
    "ops.numpy.Isfinite": search.of_whole_numbers(True),
    "ops.numpy.Isinf": search.of_whole_numbers(False),
    "ops.numpy.Isnan": search.of_whole_numbers(False),
    "ops.numpy.Log": ops.operator("Log"),
    "ops.numpy.Matmul": ops.matmul,
    "ops.numpy.Max": reduction("ReduceMax"),
    "ops.numpy.Maximum": on_floats(binary("Max")),
    "ops.numpy.Mean": reduction("ReduceMean"),
    "ops.numpy.Min": reduction("ReduceMin"),
    "ops.numpy.Minimum": on_floats(binary("Min")),
    "ops.numpy.Multiply": on_floats(binary("Mul")),
    "ops.numpy.Negative": ops.operator("Neg"),
    "ops.numpy.Power": on_floats(binary("Pow")),
    "ops.numpy.Prod": reduction("ReduceProd"),
    "ops.numpy.Reciprocal": ops.operator("Reciprocal"),
    "ops.numpy.Reshape": ops.reshape,
    "ops.numpy.Sign": ops.operator("Sign"),
    "ops.numpy.Sin": ops.operator("Sin"),
    "ops.numpy.Sqrt": ops.operator("Sqrt"),
    "ops.numpy.Square": ops.square,
    "ops.numpy.Squeeze": ops.squeeze,
    "ops.numpy.Subtract": on_floats(binary("Sub")),
    "ops.numpy.Sum": reduction("ReduceSum"),
    "ops.numpy.Tanh": ops.operator("Tanh"),
    "ops.numpy.Transpose": ops.transpose,
    "ops.numpy.TrueDivide": on_floats(binary("Div")),
}
"""Rules of classes without a public name, by module and class within `keras.src`."""


def rule_for(operation: Any) -> Rule | None:
    """Return the rule for a layer or operation; None where it has to be traced."""
    kind = type(operation)
    return LAYERS.get(kind) or PRIVATE.get(private_name(kind))


def takes_mask(layer: Any) -> bool:
    """Tell whether the rule of a layer has an argument `mask`."""
    return type(layer) in MASKED

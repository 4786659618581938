"""One small example of every layer of Keras that a model for inference can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from keras import layers
from support import Array, normal, randomise

PICTURE = (6, 5, 3)


@dataclass(frozen=True, slots=True)
class Example:
    """A function that makes the layer, and the shape of each input without the batch.

    Several inputs are given as a list, or as several arguments with `spread`. Integer inputs are
    smaller than `below`.
    """

    make: Callable[[], Any]
    shapes: tuple[tuple[int, ...], ...] = (PICTURE,)
    dtype: str = "float32"
    below: int = 4
    spread: bool = False

    def model(self) -> keras.Model:
        """Build a model of the layer alone."""
        inputs = [keras.Input(shape, dtype=self.dtype) for shape in self.shapes]
        layer = self.make()
        if len(inputs) == 1:
            return randomise(keras.Model(inputs[0], layer(inputs[0])))
        return randomise(keras.Model(inputs, layer(*inputs) if self.spread else layer(inputs)))

    def inputs(self) -> list[Array]:
        """Draw a batch of two for each input."""
        if self.dtype == "float32":
            return [normal(2, *shape, seed=i) for i, shape in enumerate(self.shapes)]
        rng = np.random.default_rng(0)
        return [
            rng.integers(0, self.below, (2, *shape)).astype(self.dtype) for shape in self.shapes
        ]


def _of(kind: type, /, *arguments: Any, shape: tuple[int, ...] = PICTURE, **named: Any) -> Example:
    return Example(lambda: kind(*arguments, **named), (shape,))


def _of_two(
    kind: type, /, *arguments: Any, shape: tuple[int, ...] = (5, 4), **named: Any
) -> Example:
    return Example(lambda: kind(*arguments, **named), (shape, shape))


def _saved() -> Any:
    """Make a layer that holds a SavedModel of a Dense layer."""
    with TemporaryDirectory() as folder:
        x = keras.Input((3,))
        keras.Model(x, layers.Dense(2)(x)).export(folder, verbose=False)
        return layers.TFSMLayer(folder, call_endpoint="serve")


LINE, VOLUME, ROW = (6, 3), (4, 5, 3, 2), (5,)

EXAMPLES: dict[str, Example] = {
    "Activation": _of(layers.Activation, "gelu"),
    "ActivityRegularization": _of(layers.ActivityRegularization),
    "AdaptiveAveragePooling1D": _of(layers.AdaptiveAveragePooling1D, 4, shape=LINE),
    "AdaptiveAveragePooling2D": _of(layers.AdaptiveAveragePooling2D, 4),
    "AdaptiveAveragePooling3D": _of(layers.AdaptiveAveragePooling3D, 2, shape=VOLUME),
    "AdaptiveMaxPooling1D": _of(layers.AdaptiveMaxPooling1D, 4, shape=LINE),
    "AdaptiveMaxPooling2D": _of(layers.AdaptiveMaxPooling2D, 4),
    "AdaptiveMaxPooling3D": _of(layers.AdaptiveMaxPooling3D, 2, shape=VOLUME),
    "Add": _of_two(layers.Add),
    "AdditiveAttention": _of_two(layers.AdditiveAttention),
    "AlphaDropout": _of(layers.AlphaDropout, 0.5),
    "Attention": _of_two(layers.Attention),
    "AugMix": _of(layers.AugMix),
    "AutoContrast": _of(layers.AutoContrast),
    "Average": _of_two(layers.Average),
    "AveragePooling1D": _of(layers.AveragePooling1D, 2, shape=LINE),
    "AveragePooling2D": _of(layers.AveragePooling2D, 2),
    "AveragePooling3D": _of(layers.AveragePooling3D, 2, shape=VOLUME),
    "BatchNormalization": _of(layers.BatchNormalization),
    "Bidirectional": Example(lambda: layers.Bidirectional(layers.LSTM(3)), (LINE,)),
    "CategoryEncoding": Example(lambda: layers.CategoryEncoding(4), ((3,),), "int32"),
    "CenterCrop": _of(layers.CenterCrop, 3, 4),
    "Concatenate": _of_two(layers.Concatenate),
    "ContrastLimitedAdaptiveHistogramEqualization": _of(
        layers.ContrastLimitedAdaptiveHistogramEqualization, shape=(16, 16, 3)
    ),
    "Conv1D": _of(layers.Conv1D, 4, 3, shape=LINE),
    "Conv1DTranspose": _of(layers.Conv1DTranspose, 4, 3, strides=2, shape=LINE),
    "Conv2D": _of(layers.Conv2D, 4, 3),
    "Conv2DTranspose": _of(layers.Conv2DTranspose, 4, 3, strides=2, padding="same"),
    "Conv3D": _of(layers.Conv3D, 4, 2, shape=VOLUME),
    "Conv3DTranspose": _of(layers.Conv3DTranspose, 4, 2, strides=2, shape=VOLUME),
    "ConvLSTM1D": _of(layers.ConvLSTM1D, 3, 2, shape=(3, 5, 2)),
    "ConvLSTM2D": _of(layers.ConvLSTM2D, 3, 2, shape=(3, 5, 4, 2)),
    "ConvLSTM3D": _of(layers.ConvLSTM3D, 2, 2, shape=(2, 4, 4, 3, 2)),
    "Cropping1D": _of(layers.Cropping1D, 1, shape=LINE),
    "Cropping2D": _of(layers.Cropping2D, 1),
    "Cropping3D": _of(layers.Cropping3D, 1, shape=VOLUME),
    "CutMix": _of(layers.CutMix),
    "Dense": _of(layers.Dense, 4, shape=ROW),
    "DepthwiseConv1D": _of(layers.DepthwiseConv1D, 3, shape=LINE),
    "DepthwiseConv2D": _of(layers.DepthwiseConv2D, 3),
    "Discretization": _of(layers.Discretization, [-0.5, 0.0, 0.5], shape=ROW),
    "Dot": _of_two(layers.Dot, 2),
    "Dropout": _of(layers.Dropout, 0.5),
    "ELU": _of(layers.ELU),
    "EinsumDense": _of(layers.EinsumDense, "abc,cd->abd", (None, 4), shape=LINE),
    "Embedding": Example(lambda: layers.Embedding(4, 3), (ROW,), "int32"),
    "Flatten": _of(layers.Flatten),
    "GRU": _of(layers.GRU, 3, shape=LINE),
    "GRUCell": Example(lambda: layers.RNN(layers.GRUCell(3)), (LINE,)),
    "GaussianDropout": _of(layers.GaussianDropout, 0.5),
    "GaussianNoise": _of(layers.GaussianNoise, 0.5),
    "GlobalAveragePooling1D": _of(layers.GlobalAveragePooling1D, shape=LINE),
    "GlobalAveragePooling2D": _of(layers.GlobalAveragePooling2D),
    "GlobalAveragePooling3D": _of(layers.GlobalAveragePooling3D, shape=VOLUME),
    "GlobalMaxPooling1D": _of(layers.GlobalMaxPooling1D, shape=LINE),
    "GlobalMaxPooling2D": _of(layers.GlobalMaxPooling2D),
    "GlobalMaxPooling3D": _of(layers.GlobalMaxPooling3D, shape=VOLUME),
    "GroupNormalization": _of(layers.GroupNormalization, 3),
    "GroupedQueryAttention": Example(
        lambda: layers.GroupQueryAttention(4, 4, 2), ((5, 4), (5, 4)), spread=True
    ),
    "Identity": _of(layers.Identity),
    "InputLayer": _of(layers.Identity),
    "IntegerLookup": Example(
        lambda: layers.IntegerLookup(vocabulary=[1, 3]), (ROW,), dtype="int64", below=5
    ),
    "LSTM": _of(layers.LSTM, 3, shape=LINE),
    "LSTMCell": Example(lambda: layers.RNN(layers.LSTMCell(3)), (LINE,)),
    "Lambda": _of(layers.Lambda, lambda x: x * 2),
    "LayerNormalization": _of(layers.LayerNormalization),
    "LeakyReLU": _of(layers.LeakyReLU),
    "Masking": _of(layers.Masking, shape=LINE),
    "MaxNumBoundingBoxes": _of(layers.MaxNumBoundingBoxes, 3),
    "MaxPooling1D": _of(layers.MaxPooling1D, shape=LINE),
    "MaxPooling2D": _of(layers.MaxPooling2D),
    "MaxPooling3D": _of(layers.MaxPooling3D, shape=VOLUME),
    "Maximum": _of_two(layers.Maximum),
    "Minimum": _of_two(layers.Minimum),
    "MixUp": _of(layers.MixUp),
    "MultiHeadAttention": Example(
        lambda: layers.MultiHeadAttention(2, 3), ((5, 4), (5, 4)), spread=True
    ),
    "Multiply": _of_two(layers.Multiply),
    "Normalization": _of(layers.Normalization, mean=[0.0, 1.0, 2.0], variance=[1.0, 2.0, 3.0]),
    "PReLU": _of(layers.PReLU),
    "Permute": _of(layers.Permute, (3, 1, 2)),
    "Pipeline": Example(lambda: layers.Pipeline([layers.RandomFlip(), layers.Rescaling(0.5)])),
    "RMSNormalization": _of(layers.RMSNormalization),
    "RNN": Example(lambda: layers.RNN(layers.SimpleRNNCell(3)), (LINE,)),
    "RandAugment": _of(layers.RandAugment),
    "RandomBrightness": _of(layers.RandomBrightness, 0.5),
    "RandomColorDegeneration": _of(layers.RandomColorDegeneration, 0.5),
    "RandomColorJitter": _of(
        layers.RandomColorJitter,
        brightness_factor=0.5,
        contrast_factor=0.5,
        saturation_factor=0.5,
        hue_factor=0.5,
    ),
    "RandomContrast": _of(layers.RandomContrast, 0.5),
    "RandomCrop": _of(layers.RandomCrop, 3, 4),
    "RandomElasticTransform": _of(layers.RandomElasticTransform),
    "RandomErasing": _of(layers.RandomErasing),
    "RandomFlip": _of(layers.RandomFlip),
    "RandomGaussianBlur": _of(layers.RandomGaussianBlur),
    "RandomGrayscale": _of(layers.RandomGrayscale),
    "RandomHue": _of(layers.RandomHue, 0.5),
    "RandomInvert": _of(layers.RandomInvert),
    "RandomPerspective": _of(layers.RandomPerspective),
    "RandomPosterization": _of(layers.RandomPosterization, 4),
    "RandomRotation": _of(layers.RandomRotation, 0.5),
    "RandomSaturation": _of(layers.RandomSaturation, 0.5),
    "RandomSharpness": _of(layers.RandomSharpness, 0.5),
    "RandomShear": _of(layers.RandomShear, 0.5, 0.5),
    "RandomTranslation": _of(layers.RandomTranslation, 0.5, 0.5),
    "RandomZoom": _of(layers.RandomZoom, 0.5),
    "ReLU": _of(layers.ReLU),
    "RepeatVector": _of(layers.RepeatVector, 3, shape=ROW),
    "Rescaling": _of(layers.Rescaling, 0.5, 1.0),
    "Reshape": _of(layers.Reshape, (5, 18)),
    "Resizing": _of(layers.Resizing, 8, 7),
    "ReversibleEmbedding": Example(lambda: layers.ReversibleEmbedding(4, 3), (ROW,), "int32"),
    "STFTSpectrogram": _of(
        layers.STFTSpectrogram, frame_length=16, frame_step=8, fft_length=16, shape=(64, 1)
    ),
    "SeparableConv1D": _of(layers.SeparableConv1D, 4, 3, shape=LINE),
    "SeparableConv2D": _of(layers.SeparableConv2D, 4, 3),
    "SimpleRNN": _of(layers.SimpleRNN, 3, shape=LINE),
    "SimpleRNNCell": Example(lambda: layers.RNN(layers.SimpleRNNCell(3)), (LINE,)),
    "Softmax": _of(layers.Softmax),
    "Solarization": _of(layers.Solarization),
    "SpatialDropout1D": _of(layers.SpatialDropout1D, 0.5, shape=LINE),
    "SpatialDropout2D": _of(layers.SpatialDropout2D, 0.5),
    "SpatialDropout3D": _of(layers.SpatialDropout3D, 0.5, shape=VOLUME),
    "SpectralNormalization": Example(lambda: layers.SpectralNormalization(layers.Conv2D(4, 3))),
    "StackedRNNCells": Example(
        lambda: layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)])), (LINE,)
    ),
    "Subtract": _of_two(layers.Subtract),
    "TFSMLayer": Example(_saved, ((3,),)),
    "TimeDistributed": Example(lambda: layers.TimeDistributed(layers.Dense(4)), (LINE,)),
    "UnitNormalization": _of(layers.UnitNormalization),
    "UpSampling1D": _of(layers.UpSampling1D, 2, shape=LINE),
    "UpSampling2D": _of(layers.UpSampling2D, 2),
    "UpSampling3D": _of(layers.UpSampling3D, 2, shape=VOLUME),
    "ZeroPadding1D": _of(layers.ZeroPadding1D, 1, shape=LINE),
    "ZeroPadding2D": _of(layers.ZeroPadding2D, 1),
    "ZeroPadding3D": _of(layers.ZeroPadding3D, 1, shape=VOLUME),
}
"""By the name of the class."""

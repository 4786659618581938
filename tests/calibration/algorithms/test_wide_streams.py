"""A residual stream with wide and narrow channels, from calibration to the quantized model."""

from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from phases import FINISH_INT8, prepare_int8, simplify
from support import healthy, operators

from kexport.calibration import Criterion, Dataset, Evaluator, quantize_with_accuracy_control
from kexport.calibration.accuracy import repairs
from kexport.calibration.execution.session import run_all
from kexport.calibration.metrics import Quality, sqnr
from kexport.calibration.quantizer import onnxruntime_cpu
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.calibration.quantizer.residual_streams import FloatStreams
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.synthetic_images import draw_images

SIZE, CHANNELS, BLOCKS = 16, 8, 3
IMAGES = draw_images(96, SIZE, SIZE)

pytestmark = pytest.mark.slow


def inverted_residuals() -> keras.Model:
    x = keras.Input((SIZE, SIZE, 3))
    y = layers.ReLU(6.0)(layers.Conv2D(16, 3, padding="same")(x))
    y = layers.Conv2D(CHANNELS, 1, name="project_0")(y)
    for block in range(1, BLOCKS + 1):
        z = layers.ReLU(6.0)(layers.Conv2D(24, 1, name=f"expand_{block}")(y))
        z = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(z))
        y = layers.Add()([layers.Conv2D(CHANNELS, 1, name=f"project_{block}")(z), y])
    y = layers.ReLU(6.0)(layers.Conv2D(32, 1, name=f"expand_{BLOCKS + 1}")(y))
    return healthy(keras.Model(x, layers.Dense(5)(layers.GlobalAveragePooling2D()(y))))


def widen(model: keras.Model) -> None:
    """Spread the channels of the stream over three decades, and shift them by up to 100 of them."""
    rng = np.random.default_rng(0)
    factor, shift = 10.0 ** rng.uniform(-1.5, 1.5, CHANNELS), np.zeros(CHANNELS)
    for block in range(BLOCKS + 1):
        project, reader = (model.get_layer(f"{x}_{block + y}") for x, y in READS)
        added = factor * rng.uniform(-100, 100, CHANNELS)
        project.kernel.assign(np.asarray(project.kernel) * factor)
        project.bias.assign(np.asarray(project.bias) * factor + added)
        shift += added
        kernel = np.asarray(reader.kernel) / factor[:, np.newaxis]
        reader.kernel.assign(kernel)
        reader.bias.assign(np.asarray(reader.bias) - shift @ kernel[0, 0])


READS = (("project", 0), ("expand", 1))
"""The layers that write and read the stream, and the difference of their numbers."""


def graph(model: keras.Model) -> ir.Model:
    passes = (*simplify("tf", None), *prepare_int8(18))
    return pipeline.run(convert_model(model).model, passes).model


@pytest.fixture(scope="module")
def both() -> tuple[ir.Model, ir.Model]:
    """Return the graph of the model as it was drawn, and with its stream widened."""
    wide = inverted_residuals()
    widen(wide)
    return graph(inverted_residuals()), graph(wide)  # graphs read weights when they are run


def quality(floating: ir.Model) -> tuple[float, ir.Model]:
    """Quantize on 32 images; return the SQNR on 32 that it has not seen, and the finished graph."""
    name = floating.graph.outputs[0].name or ""
    reference = run_all(floating, IMAGES, name)
    evaluator = Evaluator(IMAGES[32:64], reference[32:64], "numbers")
    criterion = Criterion("nothing", 0.01, Quality(0.0))
    dataset = Dataset(IMAGES[:32], evaluator)
    found = quantize_with_accuracy_control(floating, dataset, ONNXRUNTIME_CPU, criterion)
    finished = pipeline.run(found.model, FINISH_INT8).model
    return sqnr(reference[64:], run_all(finished, IMAGES[64:], name)), finished


def test_widening_keeps_the_function(both: tuple[ir.Model, ir.Model]) -> None:
    drawn, wide = (run_all(model, IMAGES, model.graph.outputs[0].name or "") for model in both)
    assert sqnr(drawn, wide) > 60


def test_a_wide_stream_costs_no_accuracy(both: tuple[ir.Model, ir.Model]) -> None:
    (as_drawn, _), (wide, finished) = (quality(model) for model in both)
    assert wide > as_drawn - 1
    assert operators(finished)["MatMul"] == BLOCKS + 1


def test_without_centring_a_wide_stream_costs_accuracy(
    both: tuple[ir.Model, ir.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_drawn, _ = quality(both[0])
    monkeypatch.setattr(repairs, "stream_shifts", lambda model, channels: {})
    assert quality(both[1])[0] < as_drawn - 6


def test_an_integer_stream_costs_accuracy_where_channels_are_wide_and_narrow(
    both: tuple[ir.Model, ir.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "stream_shifts", lambda model, channels: {})
    floats, _ = quality(both[1])

    def none(model: Any) -> FloatStreams:
        return FloatStreams()

    monkeypatch.setattr(onnxruntime_cpu, "float_streams", none)
    integers, finished = quality(both[1])
    assert floats > integers + 3
    assert operators(finished)["MatMul"] == 0

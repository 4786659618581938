"""The models of the benchmarks, and kexport's graphs of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kexport.zoo import Application


def build(application: Application, *, as_called: bool = False) -> Any:
    """Build an Application at its default size, with distinct weights, equal in every process.

    `as_called` leaves the size to the builder, as a user would: MobileNetV3 leaves it open then.

    Fresh weights would not do: BatchNorms of zero shift and unit scale let folds vanish that a
    trained model keeps. What the model computes does not matter here.
    """
    import keras

    keras.utils.set_random_seed(0)
    shape = None if as_called else (application.size, application.size, 3)
    model = getattr(keras.applications, application.builder)(weights=None, input_shape=shape)
    rng = np.random.default_rng(0)
    spreads = {"gamma": (0.6, 1.4), "moving_variance": (0.5, 1.5), "variance": (0.04, 0.06)}
    for weight in model.weights:
        if weight.name in spreads:
            weight.assign(rng.uniform(*spreads[weight.name], weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean", "mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def cpu_graph(model: Any, mode: str) -> Any:
    """Return the onnx_ir model of a cpu-fp32 bundle, batch 1."""
    from kexport import targets
    from kexport.conversion import convert_model
    from kexport.passes import pipeline

    target = targets.find("cpu-fp32")
    passes = fp32_passes(mode, pipeline.GraphFormat.of(target))
    return pipeline.run(convert_model(model).model, passes).model


def fp32_passes(mode: str | None, form: Any, pixels: Any = None) -> tuple[Any, ...]:
    """Return every pass from the converted graph to that of an fp32 bundle with a batch of one.

    `mode` is that of the preprocessing, None without; `form` is a pipeline.GraphFormat, `pixels` an
    ImageInput.
    """
    from kexport.options.image_input import ImageInput
    from kexport.options.input_image import InputImage
    from kexport.passes.pipeline import PassArguments, passes_for

    images = () if mode is None else (InputImage(mode, pixels or ImageInput()),)
    simplify = passes_for(form, "simplify", PassArguments(1, images))
    return (*simplify, *passes_for(form, "lower"))


def onnx_session(path: Path, threads: int) -> Any:
    """Open an ONNX Runtime session on the CPU; 0 threads means one for each core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def image(size: int) -> Any:
    """Draw one image, uint8 [1, size, size, 3]."""
    from kexport.source.synthetic_images import draw_images

    return draw_images(1, size, size)

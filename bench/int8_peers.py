"""The tools that make INT8 models: kexport, ONNX Runtime's own quantiser, and NNCF."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import peak_memory

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """The inputs of a tool."""

    floating: Path
    """The float32 model."""
    made: Path
    """The path to write the int8 model to."""
    images: Array
    """The calibration images; the images of the evaluation are not among them."""
    random: bool
    """Whether the weights are random, so that classes have no meaning."""


Maker = Callable[[Task], dict[str, Any]]
"""Writes the int8 file, and returns what to report besides time and memory."""


def kexport(task: Task, *, gated: bool) -> dict[str, Any]:
    """Quantize like `kexport.export`: calibrate on half of the images, evaluate on the other half.

    With accuracy control, agreement decides as it does by default; without, all stays in int8.
    """
    import onnx_ir as ir

    from kexport.calibration import Dataset, Evaluator, quantize_with_accuracy_control
    from kexport.calibration.accuracy.criterion import criterion_for
    from kexport.calibration.dataset.images import ImageForm, load_images, split_images
    from kexport.calibration.execution.partitioned import run_partitioned
    from kexport.calibration.execution.session import Batches
    from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
    from kexport.graph import save
    from kexport.passes import pipeline
    from kexport.runtime.resize import UNSTATED

    floating = ir.load(task.floating)
    form = pipeline.GraphFormat(18, "int8")
    model = pipeline.run(floating, pipeline.passes_for(form, "prepare int8")).model
    height, width, channels = task.images.shape[1:]
    with tempfile.TemporaryDirectory() as folder:
        count = len(task.images)
        form = ImageForm((height, width), UNSTATED, channels)
        found = load_images(task.images, form, limit=count, seed=0, scratch=Path(folder))
        calibration, evaluation = split_images(found, 0, largest=100)
        name, batches = floating.graph.outputs[0].name or "", Batches(floating, evaluation.images)
        made = [found for *_, found in run_partitioned(floating, batches) if name in found]
        exact = np.concatenate([each[name] for each in made])
        evaluator = Evaluator(evaluation.images, exact, "scores")
        criterion = criterion_for(evaluator, 0.01, random=task.random or not gated)
        begun = time.perf_counter()
        said: dict[str, Any] = {}

        def note(step: str) -> None:
            if step == "quantising":  # the ranges are known
                said["calibrated"] = time.perf_counter() - begun
                said["calibrated_memory"] = peak_memory()

        dataset = Dataset(calibration.images, evaluator)
        result = quantize_with_accuracy_control(
            model, dataset, ONNXRUNTIME_CPU, criterion, say=note
        )
    if not result.meets_criterion:
        raise SystemExit("refused: int8 costs too much accuracy")
    finish = pipeline.passes_for(form, "finish int8")
    save.save(pipeline.run(result.model, finish).model, task.made)
    return {**said, "steps": [step.name for step in result.steps if step.kept]}


def quantize_static(task: Task) -> dict[str, Any]:
    """Quantize as ONNX Runtime documents it: preprocessed, QDQ, per-channel weights, MinMax."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(range(len(task.images)))

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._left, None)
            return None if row is None else {"image": task.images[row : row + 1]}

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready.onnx")
        quant_pre_process(str(task.floating), str(ready))
        quantization.quantize_static(str(ready), str(task.made), Reader(), per_channel=True)
    return {}


def with_nncf(task: Task, *, fast: bool) -> dict[str, Any]:
    """Quantize with NNCF, with its fast or its accurate bias correction."""
    import nncf
    import onnx

    rows = [task.images[row : row + 1] for row in range(len(task.images))]
    found = nncf.quantize(
        onnx.load(task.floating),
        nncf.Dataset(rows, lambda row: {"image": row}),
        fast_bias_correction=fast,
        subset_size=len(rows),
    )
    onnx.save(found, task.made)
    return {}


UNGATED = "kexport, all in int8"
MAKERS: dict[str, Maker] = {
    "kexport": partial(kexport, gated=True),
    UNGATED: partial(kexport, gated=False),
    "quantize_static": quantize_static,
    "NNCF": partial(with_nncf, fast=True),
    "NNCF, accurate bias correction": partial(with_nncf, fast=False),
}

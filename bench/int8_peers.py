"""The makers of INT8 models that are compared: kexport, ONNX Runtime's own quantiser, and NNCF."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Maker = Callable[[Path, Path, Array, Array, Array], None]
"""From a float32 file to an int8 file: both paths, pictures to calibrate on, pictures held out, and
the logits that Keras gives for these."""

REPAIR_ON = 32
"""Held-out pictures on which kexport's gate decides; the table's figures are of all."""


def kexport(floating: Path, made: Path, pictures: Array, held_out: Array, answers: Array) -> None:
    import onnx_ir as ir

    from kexport import pipeline, serialize
    from kexport.calibration.for_cpu import FOR_CPU
    from kexport.calibration.gate import Gate, quantise
    from kexport.calibration.judge import Judge
    from kexport.calibration.passing import Passing
    from kexport.calibration.quality import Quality

    passes = (*FOR_CPU.prepare, *pipeline.before_int8(18))
    model = pipeline.run(ir.load(floating), passes).model
    judge = Judge(held_out[:REPAIR_ON], answers[:REPAIR_ON], "scores")
    passing = Passing("nothing", 0.01, Quality(np.inf))
    gate = Gate(FOR_CPU, pictures, judge, passing.holds, "mse", lambda step: None)
    measured = gate.measured(model)
    found = quantise(model, measured.ranges, gate, measured.channels)
    serialize.save(pipeline.run(found.model, pipeline.AFTER_INT8).model, made)


def quantize_static(
    floating: Path, made: Path, pictures: Array, held_out: Array, answers: Array
) -> None:
    """As its documentation has it: preprocessed, QDQ, weights by channel, ranges by MinMax."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(range(len(pictures)))

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._left, None)
            return None if row is None else {"image": pictures[row : row + 1]}

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready.onnx")
        quant_pre_process(str(floating), str(ready))
        quantization.quantize_static(str(ready), str(made), Reader(), per_channel=True)


def _nncf(floating: Path, made: Path, pictures: Array, *, fast: bool) -> None:
    import nncf
    import onnx

    rows = [pictures[row : row + 1] for row in range(len(pictures))]
    found = nncf.quantize(
        onnx.load(floating),
        nncf.Dataset(rows, lambda row: {"image": row}),
        fast_bias_correction=fast,
        subset_size=len(rows),
    )
    onnx.save(found, made)


def nncf_fast(floating: Path, made: Path, pictures: Array, held_out: Array, answers: Array) -> None:
    _nncf(floating, made, pictures, fast=True)


def nncf_accurate(
    floating: Path, made: Path, pictures: Array, held_out: Array, answers: Array
) -> None:
    _nncf(floating, made, pictures, fast=False)


MAKERS: dict[str, Maker] = {
    "kexport": kexport,
    "quantize_static": quantize_static,
    "NNCF": nncf_fast,
    "NNCF, accurate bias correction": nncf_accurate,
}

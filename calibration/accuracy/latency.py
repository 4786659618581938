"""Latency of the float32 and the quantized model on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import onnx_ir as ir

from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import batches_of, feeds_of, open_session
from kexport.errors import QuantizationRefused

MIN_SECONDS, MIN_RUNS = 0.5, 5
"""How long and how often each model is timed at least."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The fastest run of either model, in milliseconds a batch, on one thread."""

    float_ms: float
    int8_ms: float

    @property
    def factor(self) -> float:
        """The speedup of the quantized model over float32."""
        return self.float_ms / self.int8_ms


def compare_latency(floating: ir.Model, quantized: ir.Model, images: Inputs) -> Speed:
    """Time both models alternately in ONNX Runtime on one thread.

    Args:
        floating: the float32 model as it would be published.
        quantized: the quantized model.
        images: the samples; the first batch is used.
    """
    feeds = next(feeds_of(batches_of(floating, images)))
    sessions = [open_session(model, threads=1) for model in (floating, quantized)]
    best = [float("inf")] * 2
    spent, runs = 0.0, 0
    while spent < 2 * MIN_SECONDS or runs < MIN_RUNS:
        for index, session in enumerate(sessions):
            started = time.perf_counter()
            session.run(None, feeds)
            seconds = time.perf_counter() - started
            spent += seconds
            best[index] = min(best[index], seconds) if runs else float("inf")  # warm-up
        runs += 1
    return Speed(best[0] * 1e3, best[1] * 1e3)


def require_speedup(speed: Speed | None, required: float | None, name: str) -> None:
    """Refuse a quantized model that is slower than required.

    Args:
        speed: the measured speed; None where it was not measured.
        required: the speedup over float32 that the user requires, if any.
        name: the name of the target.

    Raises:
        QuantizationRefused: the speedup is smaller.
    """
    if speed is not None and required is not None and speed.factor < required:
        raise QuantizationRefused(
            f"int8 is {speed.factor:.2f} times as fast as fp32 for {name} on this machine, "
            f"not {required:g} times ({speed.float_ms:.2f} ms and {speed.int8_ms:.2f} ms)",
            hint="export to fp32, or lower calibration.require_speedup; nothing was written",
        )

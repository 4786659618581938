"""Whether integers pay on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import Batches, open_session

SECONDS, FEWEST = 0.5, 5
"""How long each of the two is timed, and how many runs at least."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The fastest run of either model, milliseconds a batch, on one thread."""

    float_ms: float
    int8_ms: float

    @property
    def factor(self) -> float:
        """How many times faster the integers are."""
        return self.float_ms / self.int8_ms


def compare_latency(floating: ir.Model, quantized: ir.Model, images: Array) -> Speed:
    """Time both models in turns, in ONNX Runtime on one thread.

    Args:
        floating: the float32 model as it would be delivered.
        quantised: the quantised one.
        images: what both take; the first batch is used.
    """
    batch = Batches(floating, images)[0]
    sessions = [open_session(model, threads=1) for model in (floating, quantized)]
    best = [float("inf")] * 2
    spent, runs = 0.0, 0
    while spent < 2 * SECONDS or runs < FEWEST:
        for index, session in enumerate(sessions):
            feeds = {session.get_inputs()[0].name: batch}
            started = time.perf_counter()
            session.run(None, feeds)
            seconds = time.perf_counter() - started
            spent += seconds
            best[index] = min(best[index], seconds) if runs else float("inf")  # the first warms up
        runs += 1
    return Speed(best[0] * 1e3, best[1] * 1e3)

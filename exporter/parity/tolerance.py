"""Tolerances: how far a correct runtime's outputs may be from Keras'."""

from __future__ import annotations

import numpy as np

from kexport.arrays import Array
from kexport.runtime.compare import logits_of, spread, unit

FLOORS = {"fp32": 1e-4, "fp16": 2e-2}
"""Smallest tolerance by precision, relative to the spread (standard deviation) of an output."""

FACTORS = {"fp32": 10.0, "fp16": 4.0}
"""Ratio of the tolerance to the measured rounding noise (docs/parity.md has the ratios observed).
Inside a layer of n products, rounding errors add up in another way than the noise that stands for
them; a float16 graph rounds each tensor once and adds in float32."""

CEILING = 0.25
"""Largest tolerance, relative to the spread. A model whose own rounding noise allowed more would
pass whatever it computed."""

RESOLUTION = 3 * float(np.finfo(np.float32).eps)
"""Largest relative difference between two float32 results of one formula that is rounded a few
times, such as the probabilities of a softmax. A good exp is wrong by less than one unit in the last
place (relative error eps), the division by half of one, and log p changes by as much, in both
softmaxes. The sum's error is equal for all classes."""

FLAT = 1e-2
"""Upper limit of what RESOLUTION adds to a tolerance, for models whose classes hardly differ."""


def allowed_gap(quantity: Array, noise: float, precision: str) -> float:
    """Return the largest difference allowed to one output, in its own units.

    It is `FACTORS` times the rounding noise, at least `FLOORS` and at most `CEILING` times the
    spread; but never less than float32 can tell at the size of the output. That matters only for
    outputs that hardly differ between the samples.

    Args:
        quantity: Keras' output; for a softmax its logits.
        noise: the largest change by rounding noise (`noise.measure`), in the same units.
        precision: "fp32" or "fp16".
    """
    wanted = max(FLOORS[precision] * spread(quantity), FACTORS[precision] * noise, _told(quantity))
    return min(wanted, largest_gap(quantity))


def largest_gap(quantity: Array) -> float:
    """Return what no tolerance exceeds, in the units of an output."""
    return max(CEILING * spread(quantity), _told(quantity))


def _told(quantity: Array) -> float:
    """Return the difference that float32 can tell at the size of an output."""
    finite = quantity[np.isfinite(quantity)]
    return RESOLUTION * float(np.abs(finite).max(initial=0.0))


def relative(kind: str, expected: Array, gap: float) -> float:
    """Return the tolerance of a measured quantity, in its `unit`, which is its spread.

    `gap` is the largest difference allowed to an output, or to the logits of a softmax. What a
    float32 softmax cannot tell (`RESOLUTION`) is added to the latter where the logits are taken
    back from its probabilities, which matters only if the classes hardly differ. A softmax changes
    by at most half of the change of its input (its Lipschitz constant is 1/2: Gao and Pavel, 2017,
    proposition 4), and a sigmoid by a quarter, the largest slope it has. Two classes may be swapped
    in a ranking if their scores differ by at most twice the tolerance of a score, since each may
    have that error.

    An engine's sigmoid has an error that is small next to 1, and not next to its value where that
    is near 0: ONNX Runtime is off by up to 1.3e-7 everywhere. It is held to `RESOLUTION`.

    Args:
        kind: the kind of the output that the quantity is taken from: "probabilities",
            "log-probabilities" for the logits taken back from those, "sigmoid" for an output of one
            whose logits are known, or any other.
        expected: the output, float32; the probabilities where the kind is one of these two.
        gap: the largest difference allowed, in units of the output or of the logits.
    """
    within = unit(expected)
    if kind == "sigmoid":
        return (gap / 4 + RESOLUTION) / within
    if kind not in ("probabilities", "log-probabilities") or expected.shape[-1] < 2:
        return gap / within
    recovered = unit(logits_of(expected))
    gap += min(RESOLUTION, FLAT * recovered)
    return gap / recovered if kind == "log-probabilities" else gap / (2 * within)

"""What is expected of a float runtime: Keras' outputs, and how far rounding alone moves them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from kexport.arrays import Array
from kexport.outputs import Output
from kexport.parity import keras_outputs, noise
from kexport.parity.keras_outputs import KerasOutputs
from kexport.parity.reference import Expected
from kexport.parity.samples import Samples
from kexport.parity.tolerance import FACTORS, allowed_gap, largest_gap
from kexport.runtime.compare import spread

MOST_LEFT_OUT = 0.25
"""The largest share of the ordinary samples that are left out."""


def expect(
    model: keras.Model,
    samples: Samples,
    outputs: Sequence[Output],
    with_logits: Collection[str],
    precision: str,
) -> tuple[Expected, Samples]:
    """Run Keras on samples with and without rounding noise.

    Args:
        model: the Keras model, with images as [N, H, W, C].
        samples: the inputs.
        outputs: the model's outputs, in the order of `keras.tree.flatten`.
        with_logits: the outputs whose logits can be read in the graph as well.
        precision: "fp32" or "fp16".

    Returns:
        What a runtime must give, and the samples that this is for. Those whose noise is larger than
        any tolerance, because they lie on a jump of the model, tell nothing and would hide what the
        others tell. They are left out, unless they are more than `MOST_LEFT_OUT` of the ordinary
        ones: such a model cannot be judged.
    """
    names = [output.name for output in outputs]
    softmaxes = [output.name for output in outputs if output.kind == "probabilities"]
    answers = keras_outputs.compute(model, samples.prepared, names, softmaxes)
    answers = answers.only_logits(with_logits)
    moved = noise.measure(model, samples.prepared, answers, precision, samples.discrete)
    unsteady = _unsteady(answers, moved, precision, samples.ordinary)
    if unsteady:
        kept = [place for place in range(samples.count) if place not in unsteady]
        samples = samples.without(unsteady)
        answers = answers.select(kept)
        moved = {name: gaps[kept] for name, gaps in moved.items()}
    return _expected(answers, moved, precision), samples


def _unsteady(
    answers: KerasOutputs, moved: Mapping[str, Array], precision: str, ordinary: int
) -> dict[int, str]:
    """Return the samples to leave out, by place, and why."""
    count = len(next(iter(answers.outputs.values())))
    if any(len(gaps) != count for gaps in moved.values()):
        return {}
    found: dict[int, str] = {}
    for name, gaps in moved.items():
        most = largest_gap(answers.quantity(name)[:ordinary])
        for place in np.flatnonzero(FACTORS[precision] * gaps > most):
            found[int(place)] = f"rounding alone moves {name!r} by {gaps[place]:.2g}"
    few = sum(place < ordinary for place in found) <= MOST_LEFT_OUT * ordinary
    return {place: why for place, why in found.items() if few or place >= ordinary}


def _expected(answers: KerasOutputs, moved: Mapping[str, Array], precision: str) -> Expected:
    gaps, shares = {}, {}
    for name in answers.outputs:
        quantity, largest = answers.quantity(name), float(np.max(moved[name], initial=0.0))
        gaps[name] = allowed_gap(quantity, largest, precision)
        whole = spread(quantity)
        shares[name] = largest / whole if whole else 0.0
    return Expected(answers.outputs, gaps, answers.logits, shares)

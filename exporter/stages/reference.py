"""Stage 4: what Keras computes on the samples, and how near a runtime must come to it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from kexport.outputs import Ranking
from kexport.parity import keras_outputs, noise, probes
from kexport.parity.graph_logits import tells_logits
from kexport.parity.int8_tolerance import prove, unfused
from kexport.parity.keras_outputs import KerasOutputs
from kexport.parity.reference import Expected, Reference, ranked, within
from kexport.parity.tolerance import FLOORS, allowed_gap, spread
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.stages.convert import Subject
from kexport.stages.finish import Finished
from kexport.targets import Target


def compute_reference(
    subject: Subject, finished: Finished, target: Target, say: Progress
) -> Reference:
    """Run Keras on the samples, and find out how near a runtime must come.

    For a float target that follows from the rounding noise of the model; for int8 from that of the
    quantised graph, which is run as well.
    """
    say("running Keras for comparison")
    samples, ranking = subject.samples, subject.ranking
    model = channels_last(subject.model)
    softmaxes = [output.name for output in subject.outputs if output.kind == "probabilities"]
    names = [output.name for output in subject.outputs]
    answers = keras_outputs.compute(model, samples.prepared, names, softmaxes)
    if finished.quantized is None:
        answers = answers.only_logits(_with_logits(finished.artifact.model, names, ranking))
        say("measuring the rounding noise of the model")
        moved = noise.measure(model, samples.prepared, answers, target.precision, samples.discrete)
        expected = expect(answers, moved, target.precision)
        others = probes.answer(model, samples.probes, subject.outputs, expected.gaps)
        return Reference(
            samples.raw, ranked(expected, ranking), probes=probes.ranked(others, ranking)
        )
    say("measuring the effect of rounding on the int8 graph")
    rest = "fp32" if target.engine == "onnxruntime" else "fp16"
    proof = prove(
        finished.quantized.in_float32,
        subject.outputs,
        samples.raw,
        answers.outputs,
        least=FLOORS[rest],
    )
    expected = within(subject.outputs, answers.outputs, proof.from_keras)
    rounded = unfused(finished.quantized.in_float32, subject.outputs)
    others = probes.answer(model, samples.probes, subject.outputs, expected.gaps, rounded)
    return Reference(
        samples.raw,
        ranked(expected, ranking),
        ranked(within(subject.outputs, proof.answers, proof.from_graph), ranking),
        probes.ranked(others, ranking),
    )


def expect(answers: KerasOutputs, moved: dict[str, float], precision: str) -> Expected:
    """Return what is expected of a float runtime, from Keras' outputs and their rounding noise."""
    quantities = {name: answers.quantity(name) for name in answers.outputs}
    gaps = {name: allowed_gap(array, moved[name], precision) for name, array in quantities.items()}
    shares = {name: _share(moved[name], spread(array)) for name, array in quantities.items()}
    return Expected(answers.outputs, gaps, answers.logits, shares)


def _with_logits(graph: ir.Model, names: Sequence[str], ranking: Ranking | None) -> list[str]:
    """Return the outputs whose logits can be read in the graph."""
    shown = names if ranking is None else [ranking.name_of(name) for name in names]
    return [name for name, own in zip(names, shown, strict=True) if tells_logits(graph, own)]


def _share(gap: float, whole: float) -> float:
    return gap / whole if whole else 0.0

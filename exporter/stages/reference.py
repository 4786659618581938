"""Stage 4: what Keras computes on the samples, and how near a runtime must come to it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from kexport.outputs import Ranking
from kexport.parity import keras_outputs, probes
from kexport.parity.expectation import expect
from kexport.parity.finite import require_finite
from kexport.parity.graph_logits import tells_logits
from kexport.parity.int8_tolerance import prove, unfused
from kexport.parity.reference import Reference, ranked, within
from kexport.parity.tolerance import FLOORS
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.stages.convert import Subject
from kexport.stages.finish import Finished
from kexport.stages.model_input import inputs_of, prepare_all
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
    names = [output.name for output in subject.outputs]
    if finished.quantized is None:
        say("measuring the rounding noise of the model")
        told = _with_logits(finished.artifact.model, names, ranking)
        expected, samples = expect(model, samples, subject.outputs, told, target.precision)
        require_finite(model, expected.outputs)
        others = probes.answer(model, samples.probes, subject.outputs, expected.gaps)
        shown = probes.ranked(others, ranking)
        return Reference(samples, ranked(expected, ranking), probes=shown)
    if len(finished.quantized.shipped):
        shipped = finished.quantized.shipped
        inputs = inputs_of(subject.model, samples)
        samples = samples.with_golden(shipped.arrays, prepare_all(inputs, shipped))
    answers = keras_outputs.compute(model, samples.prepared, names)
    require_finite(model, answers.outputs)
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
        samples,
        ranked(expected, ranking),
        ranked(within(subject.outputs, proof.answers, proof.from_graph), ranking),
        probes.ranked(others, ranking),
    )


def _with_logits(graph: ir.Model, names: Sequence[str], ranking: Ranking | None) -> list[str]:
    """Return the outputs whose logits can be read in the graph."""
    shown = names if ranking is None else [ranking.name_of(name) for name in names]
    return [name for name, own in zip(names, shown, strict=True) if tells_logits(graph, own)]

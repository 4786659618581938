"""Stage 4: what Keras computes on the samples, and how near a runtime must come to it."""

from __future__ import annotations

from kexport.arrays import Array
from kexport.parity import compare
from kexport.parity.int8_tolerance import prove
from kexport.parity.reference import Expected, Reference
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.stages.convert import Subject
from kexport.stages.finish import Finished
from kexport.targets import Target


def compute_reference(
    subject: Subject, finished: Finished, target: Target, say: Progress
) -> Reference:
    """Run Keras on the samples; for int8 also the quantised graph, which sets its tolerance."""
    say("running Keras for comparison")
    samples, ranking = subject.samples, subject.ranking
    names = [output.name for output in subject.outputs]
    answers = compare.reference(channels_last(subject.model), samples.prepared, names)

    def ranked(outputs: dict[str, Array]) -> dict[str, Array]:
        return outputs if ranking is None else ranking.golden(outputs)

    if finished.quantized is None:
        expected = Expected(ranked(answers), compare.TOLERANCES[target.precision])
        return Reference(samples.raw, expected)
    say("measuring the effect of rounding on the int8 graph")
    rest = "fp32" if target.engine == "onnxruntime" else "fp16"
    proof = prove(
        finished.quantized.in_float32,
        subject.outputs,
        samples.raw,
        answers,
        least=compare.TOLERANCES[rest],
    )
    return Reference(
        samples.raw,
        Expected(ranked(answers), proof.from_keras),
        Expected(ranked(proof.answers), proof.from_graph),
    )

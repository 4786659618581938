"""The proof of kexport on one model: the graph of a bundle, and its judgement, without files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import onnx_ir as ir
import onnxruntime
from planted_faults.structure import LOGITS
from support import Array

from kexport import targets
from kexport.conversion import convert_model
from kexport.outputs import Output
from kexport.parity.expectation import expect
from kexport.parity.graph_logits import add_logits, tells_logits
from kexport.parity.reference import Expected
from kexport.parity.samples import Samples
from kexport.parity.tolerance import relative
from kexport.runtime.compare import differences
from kexport.source.clone import channels_last
from kexport.stages import optimize

TARGET = targets.find("cpu-fp32")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The row of a proof whose error is the largest part of its tolerance."""

    row: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every row is within its tolerance."""
        return self.error <= self.tolerance

    @property
    def ratio(self) -> float:
        """The error in tolerances."""
        if self.error == 0:
            return 0.0
        return self.error / self.tolerance if self.tolerance else float("inf")


@dataclass(frozen=True, slots=True)
class Subject:
    """A converted model, with what Keras computes for the samples and what it allows."""

    graph: ir.Model
    """The graph of a bundle, with the logits of its softmaxes as further outputs."""
    outputs: tuple[Output, ...]
    expected: Expected
    samples: Samples


def convert(model: keras.Model, samples: Samples) -> Subject:
    """Convert a model as an export to `cpu-fp32` does, and run Keras on the samples."""
    converted = convert_model(model)
    artifact = optimize.simplified(converted, samples, "dynamic", _silent)
    artifact, _ = optimize.of_floats(artifact, TARGET, samples, "dynamic", _silent)
    told = [one.name for one in converted.outputs if tells_logits(artifact.model, one.name)]
    expected, samples = expect(
        channels_last(model), samples, converted.outputs, told, TARGET.precision
    )
    graph = _with_logits(artifact.model, expected.logits)
    return Subject(graph, converted.outputs, expected, samples)


def _with_logits(graph: ir.Model, names: Iterable[str]) -> ir.Model:
    graph = graph.clone()
    for name in names:
        value = add_logits(graph, name)
        value.name = f"{LOGITS}{name}"
        graph.graph.outputs.append(value)
    return graph


def open_session(graph: ir.Model) -> Any:
    """Open a session as a bundle's runtime does, on one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    serialized = ir.to_proto(graph).SerializeToString()
    return onnxruntime.InferenceSession(serialized, options, ["CPUExecutionProvider"])


def run(session: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run a session; outputs by name."""
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def judge(subject: Subject, given: Mapping[str, Array]) -> Verdict:
    """Compare what a graph gave for the samples with Keras, as `parity.compare.measure` does."""
    return _judged(subject, given, subject.expected.outputs, subject.expected.logits)


def change(subject: Subject, given: Mapping[str, Array], before: Mapping[str, Array]) -> Verdict:
    """Compare two graphs on any inputs by the tolerances of the proof."""
    logits = {name: before.get(f"{LOGITS}{name}") for name in subject.expected.logits}
    return _judged(subject, given, before, {k: v for k, v in logits.items() if v is not None})


def _judged(
    subject: Subject,
    given: Mapping[str, Array],
    outputs: Mapping[str, Array],
    logits: Mapping[str, Array],
) -> Verdict:
    gaps = subject.expected.gaps
    kinds: dict[str, str] = {output.name: output.kind for output in subject.outputs}
    found = []
    for row in differences(kinds, given, outputs):
        kind = kinds.get(row.name, "log-probabilities")
        name = row.name if row.name in kinds else _softmax_of(row.name, kinds)
        if name in subject.expected.logits and "probabilities" not in kind:
            kind = "sigmoid"
        found.append(Verdict(row.name, row.error, relative(kind, outputs[name], gaps[name])))
    inner = {name: f"{LOGITS}{name}" for name in logits if f"{LOGITS}{name}" in given}
    read = {name: given[key] for name, key in inner.items()}
    for row in differences(dict.fromkeys(read, "logits"), read, logits):
        tolerance = relative("logits", logits[row.name], gaps[row.name])
        found.append(Verdict(f"{LOGITS}{row.name}", row.error, tolerance))
    return max(found, key=lambda verdict: verdict.ratio)


def _softmax_of(name: str, kinds: Mapping[str, str]) -> str:
    """Return the output whose logits `runtime.compare.differences` measures under `name`."""
    output = name.removesuffix(".logits")
    return output if output in kinds else next(n for n, k in kinds.items() if k == "probabilities")


def _silent(message: str) -> Any:
    del message

"""The proof of kexport on one model: the graph of a bundle, and its judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import onnx_ir as ir
import onnxruntime
from support import Array

from kexport import targets
from kexport.conversion import convert_model
from kexport.outputs import Output
from kexport.parity import compare
from kexport.parity.samples import Samples
from kexport.runtime.compare import differences
from kexport.source.clone import channels_last
from kexport.stages import optimize

TARGET = targets.find("cpu-fp32")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The output that is furthest from its tolerance."""

    passed: bool
    error: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Subject:
    """A converted model with what Keras computes for the samples."""

    graph: ir.Model
    outputs: tuple[Output, ...]
    expected: Mapping[str, Array]
    samples: Samples


def convert(model: keras.Model, samples: Samples) -> Subject:
    """Convert a model as an export to `cpu-fp32` does, and run Keras on the samples."""
    converted = convert_model(model)
    artifact = optimize.simplified(converted, samples, "dynamic", _silent)
    artifact, _ = optimize.of_floats(artifact, TARGET, samples, "dynamic", _silent)
    names = [output.name for output in converted.outputs]
    expected = compare.reference(channels_last(model), samples.prepared, names)
    return Subject(artifact.model, converted.outputs, expected, samples)


def answers(graph: ir.Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run a graph in ONNX Runtime as a bundle's session does; outputs by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        ir.to_proto(graph).SerializeToString(), options, ["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def judge(subject: Subject, graph: ir.Model) -> Verdict:
    """Compare a graph with Keras on the samples."""
    return verdict(subject, answers(graph, subject.samples.raw))


def verdict(
    subject: Subject, given: Mapping[str, Array], expected: Mapping[str, Array] | None = None
) -> Verdict:
    """Compare what a graph gave with Keras' outputs for the samples, or with other outputs."""
    expected = subject.expected if expected is None else expected
    kinds = {output.name: output.kind for output in subject.outputs}
    found = []
    for row in differences(kinds, given, expected):
        kind = kinds.get(row.name, "log-probabilities")
        source = row.name if row.name in kinds else compare._softmax_of(row.name, kinds)
        tolerance = compare._tolerance(kind, expected[source], compare.TOLERANCES["fp32"])
        found.append(Verdict(row.error <= tolerance, row.error, tolerance))
    return max(found, key=lambda one: one.error / one.tolerance)


def _silent(message: str) -> Any:
    del message

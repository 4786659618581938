"""Write docs/keras-tests.md: what came of the layer tests of Keras and of tf2onnx."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import keras
from layer_outcome import KINDS, LIMIT, TOLERANCE, Outcome
from page import joined, put_section, table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "keras-tests.md"
REST = "not comparable"
REASONS = ("| from | models | reason |", "| --- | ---: | --- |")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that one program writes."""

    name: str
    heading: str
    text: str
    rows: str
    """What the rows of the first table are."""


KERAS = Section(
    "keras",
    "## Keras' layer tests",
    "`python bench/keras_tests.py CHECKOUT --write` runs the layer tests in a checkout of Keras' "
    "repository, and makes a functional model of each call of a layer or model on arrays; calls "
    "with equal configurations, shapes, types and arguments count once. Weights are those that "
    "the tests give, and the batch is open where Keras can leave it open.",
    "folder",
)
TF2ONNX = Section(
    "tf2onnx",
    "## tf2onnx's Keras tests",
    "`python bench/keras2onnx_tests.py CHECKOUT --write` runs tf2onnx's tests for Keras with "
    "`kexport.convert` in the place of tf2onnx. They were written for Keras 2 and TensorFlow 1 and "
    "2, and many of their models cannot be built any more.",
    "file",
)


def put(section: Section, found: dict[str, list[Outcome]]) -> None:
    """Write one section of the page, and leave the other."""
    each = [one for outcomes in found.values() for one in outcomes]
    kinds = Counter(one.kind for one in each)
    total = sum(kinds[kind] for kind in KINDS)
    parts = [
        section.heading,
        section.text,
        f"With Keras {keras.__version__}, {kinds['equal']} of {total} comparable models equal "
        f"Keras within {TOLERANCE} of the larger of 1 and the magnitude of each number, with equal "
        f"shapes and types; {kinds['refused']} are refused; {kinds['wrong']} are wrong, "
        f"{kinds['traceback']} end in a traceback, {kinds['unloadable']} do not run in ONNX "
        f"Runtime, and {kinds['endless']} take more than {LIMIT} s.",
        table((section.rows, *KINDS, REST), _counts(found)),
    ]
    for kind, title in (("refused", "Refused, with the reason:"), (REST, "Not comparable:")):
        rows = _reasons([one for one in each if one.kind == kind])
        parts += [title, "\n".join([*REASONS, *rows])] if rows else []
    put_section(PAGE, section.name, joined(parts), "Layer tests of Keras and tf2onnx")


def _counts(found: dict[str, list[Outcome]]) -> list[list[str]]:
    rows = []
    for name, outcomes in found.items():
        kinds = Counter(one.kind for one in outcomes)
        rows.append([name, *(str(kinds[kind]) for kind in (*KINDS, REST))])
    return rows


def _reasons(outcomes: list[Outcome]) -> list[str]:
    counts = Counter((one.layer, reason(one.why)) for one in outcomes)
    return [f"| `{layer}` | {n} | {why} |" for (layer, why), n in sorted(counts.items())]


def reason(why: str) -> str:
    """Return why a model did not become ONNX, without the names that Keras counts up."""
    why = re.sub(r"^(layer|operation) '\S+' \([\w.]+\)( has no rule, and| is| has)? ", "", why)
    why = re.sub(r"^Keras: ", "", why)
    why = re.sub(r" \([\w/.:]+/[\w/.:]+\)|0x[0-9a-f]+", "", why)
    return re.sub(r"_\d+\b", "", why).replace("|", "/")

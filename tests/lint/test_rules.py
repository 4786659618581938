"""Every lint rule, on a tiny graph that breaks it and one that does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from lint_cases import CASES, QDQ, SPARSE, Case
from onnx import helper, numpy_helper

from kexport import lint, targets

DLA_CASES = {
    "dla-open-axis": replace(CASES["open-axis"], device="jetson-xavier", tensorrt="8.5"),
    "dla-quantization": Case(
        "jetson-xavier",
        "8.5",
        f"({QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
        "(float[1,4] x) => (float[1,4] y) { y = Relu(x) }",
    ),
    "dla-large": Case(
        "jetson-orin",
        "10.3",
        "(float[1,9000] x) => (float[1,9000] y) { y = Relu(x) }",
        "(float[9000,1] x) => (float[9000,1] y) { y = Relu(x) }",
    ),
    "dla-fallback": Case(
        "jetson-orin",
        "10.3",
        "(float[1,4] x) => (float[1,4] y) { y = Erf(x) }",
        "(float[1,4] x) => (float[1,4] y) { y = Relu(x) }",
    ),
}

ALL = {**CASES, **DLA_CASES}
RULES = (*lint.RULES, *lint.DLA_RULES)


def parsed(case: Case, text: str) -> onnx.ModelProto:
    head, _, rest = text.partition(": (")
    opset, body = (head, f"({rest}") if head.isdecimal() else (case.opset, text)
    imports = f'"" : {opset}{case.imports}'
    model = onnx.parser.parse_model(f"<ir_version: 9, opset_import: [{imports}]> g {body}")
    if text == SPARSE:
        values = numpy_helper.from_array(np.asarray([1, 2], np.float32), "w")
        places = numpy_helper.from_array(np.asarray([0, 3], np.int64))
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))
    return model


def found(case: Case, text: str, folder: Path) -> dict[str, lint.Finding]:
    onnx.save(parsed(case, text), folder / "model.onnx")
    platform = targets.place(case.device, tensorrt=case.tensorrt or None)
    model = lint.open_onnx(folder / "model.onnx")
    findings = lint.find(model, platform, dla=case in DLA_CASES.values())
    return {finding.rule: finding for finding in reversed(findings)}


def test_every_rule_has_a_case() -> None:
    assert list(CASES) == [rule.name for rule in lint.RULES]
    assert list(DLA_CASES) == [rule.name for rule in lint.DLA_RULES]


@pytest.mark.parametrize("name", ALL)
def test_a_graph_that_breaks_the_rule(name: str, tmp_path: Path) -> None:
    case = ALL[name]
    finding = found(case, case.bad, tmp_path)[name]
    (rule,) = [rule for rule in RULES if rule.name == name]
    assert finding.severity == rule.severity
    assert finding.node == case.node
    assert finding.what


@pytest.mark.parametrize("name", ALL)
def test_a_graph_that_does_not_break_the_rule(name: str, tmp_path: Path) -> None:
    case = ALL[name]
    assert name not in found(case, case.good, tmp_path)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_documented(rule: lint.Rule) -> None:
    assert rule.source.startswith("https://")
    assert rule.effect
    assert not rule.fix.endswith(".")


@pytest.mark.parametrize("name", ["axes-input", "local-function", "no-zero-point", "uint8-input"])
def test_a_newer_toolchain_accepts_the_graph(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    newer = Case("trt", "11.4", case.bad, case.good, case.opset, case.imports)
    assert not any(finding.refuses for finding in found(newer, case.bad, tmp_path).values())

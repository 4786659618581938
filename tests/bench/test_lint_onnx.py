"""The benchmark of `kexport check`: what it counts, and the parser in its own process."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import onnx
import onnx.parser
import pytest


def written(folder: Path, name: str, graph: str) -> Path:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g {graph}'
    onnx.save(onnx.parser.parse_model(text), folder / f"{name}.onnx")
    return folder / f"{name}.onnx"


def test_what_is_counted_as_what(bench: dict[str, ModuleType]) -> None:
    outcome = bench["lint_onnx"].Outcome
    kinds = {
        "both clean": outcome("a", (), (), ""),
        "both refused": outcome("a", ("rank: 9",), ("layout: 1",), "no"),
        "missed": outcome("a", (), (), "no"),
        "false alarm": outcome("a", ("rank: 9",), (), ""),
        "silent": outcome("a", (), ("layout: 1",), ""),
    }
    assert {one.kind for one in kinds.values()} == set(kinds)
    assert all(one.kind == kind for kind, one in kinds.items())


@pytest.mark.rtx
def test_models_are_judged_by_check_and_by_the_parser(
    bench: dict[str, ModuleType], tmp_path: Path
) -> None:
    clean = written(tmp_path, "clean", "(float[4] x) => (float[4] y) { y = Relu(x) }")
    wrong = written(tmp_path, "wrong", "(int32[2,2] x) => (int32[2,2] y) { y = MatMul(x, x) }")
    open_ = written(tmp_path, "open", "(float[N] x) => (float[N] y) { y = Relu(x) }")
    with bench["lint_parser"].Parser() as parser:
        found = [bench["lint_onnx"].judged(path, parser) for path in (clean, wrong, open_)]
        parser._process.kill()
        assert parser.refusal(clean) == "the process ended with -9"
        assert parser.refusal(clean) == ""
    assert [one.kind for one in found] == ["both clean", "both refused", "both clean"]
    assert found[1].errors == ("input-type: it takes int32",)
    assert "MatMul: Assertion failed" in found[1].refusal
    page = bench["lint_onnx"].page(found)
    assert "| both take it | 2 |" in page
    assert "They agree on 3." in page

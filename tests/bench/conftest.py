"""The scripts of bench/ as modules."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

MODULES = (
    *(
        "calibrate",
        "convert",
        "cpp",
        "engines",
        "gpu",
        "hub",
        "hub_parts",
        "hub_table",
        "int8_speed",
        "int8_whole",
        "keras2onnx_tests",
        "keras_tests",
        "keras_tests_page",
        "latency",
        "layer_calls",
        "layer_outcome",
        "lint_onnx",
        "lint_parser",
        "machine",
        "ops",
        "ops_table",
        "page",
        "pass_cases",
        "passes",
        "pixels",
        "process",
        "proof",
        "proof_page",
        "results",
        "rounds",
        "same_bundles",
        "sharpness",
    ),
    "zoo_page",
)


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Import the scripts of bench/; "zoo" is bench/zoo.py."""
    monkeypatch.syspath_prepend(root / "bench")
    names = (*MODULES, "zoo")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)

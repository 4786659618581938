"""Convert what the tests of Keras' own layers call, and compare with Keras.

    python bench/keras_tests.py CHECKOUT [PART ...]       print what is not equal
    python bench/keras_tests.py CHECKOUT --write          write docs/keras-tests.md

CHECKOUT is a copy of Keras' repository at the version that is installed; its tests run as they are,
and nothing of them is kept. PART is a part of the names of test files, such as `rnn/`.
Each call of a layer on arrays becomes a functional model. What the tests assert is ignored.
"""

from __future__ import annotations

import os
import sys
import unittest
import warnings
from collections import Counter
from contextlib import redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras.src import testing
from keras.src.testing.test_case import create_eager_tensors
from keras.src.tree import map_shape_structure
from keras_tests_page import KERAS, put
from layer_calls import LayerCall, OutOfTime, intercepting, time_limit
from layer_outcome import Outcome, key, outcome

LAYERS = Path("keras", "src", "layers")
LIMIT = 300
"""Seconds for one test."""


def main(arguments: list[str]) -> None:
    """Run the tests of all layers, or those in the files that are named."""
    warnings.simplefilter("ignore")
    checkout, *parts = [one for one in arguments if not one.startswith("--")]
    sys.path.append(checkout)  # some tests import its conftest
    root = Path(checkout) / LAYERS
    found: dict[str, list[Outcome]] = {}
    for path in sorted(root.rglob("*_test.py")):
        name = path.relative_to(root).as_posix()
        if not parts or any(part in name for part in parts):
            found.setdefault(name.partition("/")[0], []).extend(outcomes(path))
    for folder, each in found.items():
        print(f"{folder}: {dict(Counter(one.kind for one in each))}")
    if "--write" in arguments:
        put(KERAS, found)


def outcomes(path: Path) -> list[Outcome]:
    """Run the tests in a file, and return what came of each different call in them."""
    found: dict[str, Outcome] = {}
    test = ""

    def take(call: LayerCall) -> None:
        name = key(call)
        if name in found:
            return
        found[name] = one = outcome(call)
        if one.kind != "equal":
            _print(f"{path.stem} {test} {one.layer}: {one.kind}: {one.why}")

    with (
        intercepting(take),
        mock.patch.object(testing.TestCase, "run_layer_test", _run_layer_test),
        mock.patch.object(testing.TestCase, "run_class_serialization_test", mock.Mock()),
    ):
        try:
            cases = _cases(path)
        except ImportError as error:
            _print(f"{path.stem}: {error}")
            return []
        for case in cases:
            test = case.id().rpartition(".")[2]
            try:
                with time_limit(LIMIT), redirect_stdout(StringIO()):
                    case.run(unittest.TestResult())
            except OutOfTime:
                _print(f"{path.stem} {test}: the test takes more than {LIMIT} s")
    return list(found.values())


def _print(line: str) -> None:
    print(line, file=sys.__stdout__, flush=True)


def _cases(path: Path) -> list[Any]:
    spec = spec_from_file_location(f"tests_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return [case for suite in unittest.TestLoader().loadTestsFromModule(module) for case in suite]


def _run_layer_test(
    _test: Any,
    layer_cls: Any,
    init_kwargs: dict[str, Any],
    input_shape: Any = None,
    input_dtype: Any = None,
    input_sparse: bool = False,
    input_ragged: bool = False,
    input_data: Any = None,
    call_kwargs: dict[str, Any] | None = None,
    **_others: Any,
) -> None:
    """Call the layer once on what Keras' own `run_layer_test` gives it."""
    if input_data is None:
        dtype = input_dtype or map_shape_structure(lambda _: "float32", input_shape)
        input_data = create_eager_tensors(input_shape, dtype, input_sparse, input_ragged)
    layer = layer_cls(**(init_kwargs or {}))
    if isinstance(input_data, dict):
        layer(**input_data, **(call_kwargs or {}))
    else:
        layer(input_data, **(call_kwargs or {}))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Convert the models of tf2onnx's Keras tests, and compare with Keras.

    python bench/keras2onnx_tests.py CHECKOUT [PART ...]      print what is not equal
    python bench/keras2onnx_tests.py CHECKOUT --write         write docs/keras-tests.md

CHECKOUT is a copy of tf2onnx's repository; its tests run as they are, with kexport in the place of
tf2onnx, and nothing of them is kept. PART is a part of the names of tests. The tests were written
for Keras 2: those that Keras 3 cannot build are counted apart.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from keras_tests_page import TF2ONNX, put
from layer_outcome import Converted, Outcome, converted

from kexport.conversion.tf2onnx_run import TRACE_OPSET

TESTS = Path("tests", "keras2onnx_unit_tests")


def main(arguments: list[str]) -> None:
    """Run the tests, or those that are named."""
    warnings.simplefilter("ignore")
    checkout, *parts = [one for one in arguments if not one.startswith("--")]
    folder = (Path(checkout) / TESTS).resolve()
    seen = Seen()
    api: Any = ModuleType("tf2onnx.keras2onnx_api")  # the real one needs an older ONNX
    api.convert_keras, api.get_maximum_opset_supported = seen.convert, lambda: TRACE_OPSET
    sys.modules[api.__name__] = api
    sys.path.insert(0, str(folder))
    import_module("test_utils").run_onnx_runtime = seen.compare
    options = "-q --no-header --tb=no --capture=sys -p no:cacheprovider"
    options += f" -c {os.devnull} --confcutdir {folder}"
    wanted = ["-k", " or ".join(parts)] if parts else []
    pytest.main([*options.split(), *wanted, str(folder)], plugins=[seen])
    for file, each in seen.found.items():
        print(file, dict(Counter(one.kind for one in each)))
    if "--write" in arguments:
        put(TF2ONNX, seen.found)


class Seen:
    """A pytest plugin that takes the place of tf2onnx and of the tests' own comparison."""

    def __init__(self) -> None:
        self.found: dict[str, list[Outcome]] = {}
        """What came of each model, by the file of its test."""
        self.file, self.test = "", ""
        self.converted: dict[int, Converted] = {}
        """The models that the test has converted and not run yet, by the identity of the graph."""
        self.models = 0

    def pytest_runtest_setup(self, item: Any) -> None:
        """Remember the test, and that it has converted nothing yet."""
        self.file, self.test, self.models = item.path.name, item.originalname, 0
        self.converted.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Count a test that came to no conversion, and models that it did not run."""
        report = yield
        if call.when == "call":
            error = getattr(call.excinfo, "value", None)
            why = str(error or "the test only converts")
            if isinstance(error, AssertionError):
                why = "the test asks for the nodes that tf2onnx writes"
            for _ in range(len(self.converted) if self.models else 1):
                self._add(Outcome(self.test, "not comparable", why.splitlines()[0][:160]))
        return report

    def convert(
        self, model: Any, name: str = "", channel_first_inputs: Any = (), **_others: Any
    ) -> Any:
        """Stand for tf2onnx.keras2onnx_api.convert_keras; inputs keep Keras' layout."""
        if channel_first_inputs:
            pytest.skip("the test asks for inputs in another layout")
        result = converted(model, self.test)
        self.models += 1
        if result.proto is None:
            self._add(result.outcome)
        else:
            self.converted[id(result.proto)] = result
        return result.proto

    def compare(
        self, _name: str, proto: Any, data: Any, expected: Any, *_others: Any, **_named: Any
    ) -> bool:
        """Stand for the tests' own run of ONNX Runtime."""
        result = self.converted.pop(id(proto), None)
        if result is None:
            return True
        names = [x.name for x in proto.graph.input]
        if isinstance(data, dict):
            data = [data[name] for name in names] if set(names) == set(data) else [*data.values()]
        arrays = data if isinstance(data, list) else [data]
        wanted = list(expected) if isinstance(expected, (list, tuple)) else [expected]
        self._add(result.compared(arrays, wanted))
        return True

    def _add(self, one: Outcome) -> None:
        self.found.setdefault(self.file, []).append(one)
        if one.kind != "equal":
            print(f"{one.layer}: {one.kind}: {one.why}", file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

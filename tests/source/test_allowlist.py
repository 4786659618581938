"""The allow-list of model files, compared with the installed Keras."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from keras.src import api_export, ops
from keras.src.saving.keras_saveable import KerasSaveable

from kexport.source import allowlist

LEFT_OUT = {
    "calls what its configuration names": {
        *("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
        *("Switch", "Cond", "Map", "Scan", "AssociativeScan", "WhileLoop", "ForiLoop"),
        *("VectorizedMap", "JVP", "Function"),
    },
    "is no part of a model that predicts": {
        *("Distiller", "FeatureSpace", "CompileLoss", "CompileMetrics", "MetricsList"),
        *("DistillationLoss", "FeatureDistillation", "LogitsDistillation", "InputSpec"),
        "OptimizerMap",
    },
    "is a base of others": {"Layer", "Loss", "Metric", "Operation", "Optimizer", "Initializer"}
    | {"Constraint", "Regularizer", "Quantizer", "LearningRateSchedule", "QuantizationConfig"},
}


def entry(module: str | None, name: str, *, legacy: bool = False) -> allowlist.Entry:
    return allowlist.Entry({"module": module, "class_name": name, "config": {}}, None, legacy)


def function(module: str | None, name: str) -> allowlist.Entry:
    part = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    return allowlist.Entry(part, None, legacy=False)


def of_keras() -> Iterator[tuple[str, str]]:
    """List module and name of all parts of models: public classes, and all operations."""
    for path, found in api_export.REGISTERED_NAMES_TO_OBJS.items():
        if isinstance(found, type) and (
            issubclass(found, KerasSaveable) or "Policy" in path or hasattr(found, "from_config")
        ):
            yield tuple(path.rsplit(".", 1))  # type: ignore[misc]
    for info in pkgutil.iter_modules(ops.__path__, "keras.src.ops."):
        if info.name.endswith("_test"):
            continue
        module = importlib.import_module(info.name)
        for name, found in vars(module).items():
            own = inspect.isclass(found) and found.__module__ == info.name
            if own and issubclass(found, ops.operation.Operation):
                yield info.name, name


def test_every_class_of_keras_is_listed_or_left_out_for_a_reason() -> None:
    left_out = set().union(*LEFT_OUT.values())
    missing = [
        f"{module}.{name}"
        for module, name in of_keras()
        if not entry(module, name).is_allowed and name not in left_out
    ]
    assert missing == []


@pytest.mark.parametrize("name", sorted(LEFT_OUT["calls what its configuration names"]))
def test_functions_that_call_others_are_refused_by_every_name(name: str) -> None:
    homes = [module for module, found in of_keras() if found == name]
    assert homes, f"{name} is no class of this Keras"
    for module in homes:
        assert entry(module, name).is_of_keras
        assert not entry(module, name).is_allowed


def test_an_operation_that_takes_callables_is_left_out() -> None:
    """Whichever Keras is installed: such operations name their arguments so."""
    names = {"f", "fn", "func", "function", "fun", "body", "body_fun", "cond", "branches"}
    names |= {"true_fn", "false_fn", "combine_fn", "call_fn", "pyfunc", "step_function"}
    for module, name in of_keras():
        if module.startswith("keras.src.ops."):
            found = getattr(importlib.import_module(module), name)
            taken = {*inspect.signature(found.__init__).parameters}
            taken |= {*inspect.signature(found.call).parameters}
            assert not (taken & names and entry(module, name).is_allowed), f"{module}.{name}"


def test_everything_listed_is_in_keras() -> None:
    for kind, make in (("classes", entry), ("functions", function)):
        for module, names in allowlist.table()[kind].items():
            for name in names:
                assert make(module, name).is_allowed, f"{module}.{name}"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "TFSMLayer"),  # a class, named as a function
        ("keras.layers", "Dense"),
        ("keras.utils", "get_file"),
        ("keras.config", "set_floatx"),
        ("keras.datasets.mnist", "load_data"),
        ("keras.applications", "MobileNetV3Small"),
        ("keras.saving", "load_model"),
        ("keras.ops", "cond"),
        ("keras.ops", "map"),
        ("builtins", "deserialize"),
        ("keras.src.saving.saving_lib", "load_model"),
    ],
)
def test_a_function_that_takes_no_tensors_is_refused(module: str, name: str) -> None:
    found = function(module, name)
    assert found.is_of_keras
    assert not found.is_allowed


@pytest.mark.parametrize("name", ["get_file", "load_img", "clear_session"])
def test_a_function_named_as_a_class_is_refused(name: str) -> None:
    assert not entry("keras.utils", name).is_allowed


def test_legacy_files_are_judged_by_bare_names_too() -> None:
    assert entry("keras.layers", "Dense", legacy=True).is_allowed
    assert not entry("keras.layers", "deserialize", legacy=True).is_allowed
    assert allowlist.is_legacy_function("deserialize")
    assert not allowlist.is_legacy_function("dot")
    assert not allowlist.is_legacy_function("relu")

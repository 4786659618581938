"""Make a model of one call of a layer, convert it, and compare ONNX Runtime with Keras."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnxruntime
from layer_calls import PARTIAL, LayerCall, OutOfTime, tensors, time_limit

import kexport
from kexport.errors import KexportError, one_line
from kexport.keras_graph import computing_in_float32

TOLERANCE = 1e-4
"""Of the larger of 1 and the magnitude of each number."""
LIMIT = 60
"""Seconds for one conversion."""

KINDS = ("equal", "refused", "wrong", "traceback", "unloadable", "endless")
"""What a comparable model may come to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one model."""

    layer: str
    """The class of the layer."""
    kind: str
    """One of `KINDS`, or `not comparable`."""
    why: str = ""


def key(call: LayerCall) -> str:
    """Return what two calls have in common that convert to the same model."""
    try:
        config = json.dumps(_unnamed(call.layer.get_config()), sort_keys=True, default=repr)
    except Exception:  # noqa: BLE001 - layers of tests may raise anything
        config = str(id(call.layer))
    places = {id(x): f"{x.shape} {x.dtype} {i}" for i, x in enumerate(tensors(call))}
    arguments = keras.tree.map_structure(lambda x: places.get(id(x), x), (call.args, call.kwargs))
    return f"{type(call.layer).__qualname__} {config} {arguments!r}"


def _unnamed(config: Any) -> Any:
    if isinstance(config, dict):
        return {k: _unnamed(v) for k, v in config.items() if k not in ("name", "build_config")}
    return [_unnamed(v) for v in config] if isinstance(config, (list, tuple)) else config


def outcome(call: LayerCall) -> Outcome:
    """Convert a functional model that makes one call, and compare it with Keras."""
    name = type(call.layer).__name__
    if any(isinstance(x, PARTIAL) for x in tensors(call)):
        return Outcome(name, "not comparable", "sparse or ragged tensors")
    arrays = [_array(x) for x in tensors(call)]
    if any(x.dtype.kind in "c" for x in arrays):
        return Outcome(name, "not comparable", "complex numbers")
    try:
        model = _model(call, arrays)
        if any(y.sparse or y.ragged for y in model.outputs):
            return Outcome(name, "not comparable", "sparse or ragged tensors")
        with computing_in_float32(model):
            wanted = _answers(model, arrays)
    except Exception as error:  # noqa: BLE001 - Keras and TensorFlow raise many
        return Outcome(name, "not comparable", f"Keras: {one_line(error)}"[:160])
    if not wanted:
        return Outcome(name, "not comparable", "no tensor comes out")
    return converted(model, name).compared(arrays, wanted)


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model, or why there is none."""

    proto: Any
    outcome: Outcome

    def compared(self, arrays: list[Any], wanted: list[Any]) -> Outcome:
        """Compare the answers of ONNX Runtime for `arrays` with those that are `wanted`."""
        if self.proto is None:
            return self.outcome
        try:
            given = run(self.proto, arrays)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no class for all
            return Outcome(self.outcome.layer, "unloadable", one_line(error)[:300])
        why = difference(given, wanted)
        return Outcome(self.outcome.layer, "wrong", why) if why else self.outcome


def converted(model: keras.Model, name: str) -> Converted:
    """Convert a model; the outcome is `equal` as long as nothing is compared."""
    try:
        with time_limit(LIMIT):
            return Converted(kexport.convert(model), Outcome(name, "equal"))
    except KexportError as error:
        return Converted(None, Outcome(name, "refused", str(error)))
    except OutOfTime:
        return Converted(None, Outcome(name, "endless", f"more than {LIMIT} s"))
    except Exception as error:  # noqa: BLE001 - which is what is counted
        why = f"{type(error).__name__}: {one_line(error)}"[:300]
        return Converted(None, Outcome(name, "traceback", why))


def _model(call: LayerCall, arrays: list[Any]) -> keras.Model:
    """Return a model with a batch that is open, or fixed if the layer needs to know it."""
    batches = {x.shape[:1] for x in arrays}
    if len(batches) == 1 and batches != {()}:
        try:
            return _called(call, [(None, *x.shape[1:]) for x in arrays], arrays)
        except Exception:  # noqa: BLE001, S110 - Keras raises many
            pass
    return _called(call, [x.shape for x in arrays], arrays)


def _called(call: LayerCall, shapes: list[Any], arrays: list[Any]) -> keras.Model:
    inputs = [
        keras.Input(batch_shape=shape, dtype="string" if x.dtype.kind in "OSU" else x.dtype.name)
        for shape, x in zip(shapes, arrays, strict=True)
    ]
    symbols = dict(zip(map(id, tensors(call)), inputs, strict=True))
    args, kwargs = keras.tree.map_structure(
        lambda x: symbols.get(id(x), x), (call.args, call.kwargs)
    )
    kwargs = {k: v for k, v in kwargs.items() if k != "training"}
    return keras.Model(inputs, call.layer(*args, **kwargs))


def _array(x: Any) -> Any:
    """Return a NumPy array, with float32 for float64, which NumPy draws and nobody chose."""
    array = x if isinstance(x, np.ndarray) else keras.ops.convert_to_numpy(x)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _answers(model: keras.Model, arrays: list[Any]) -> list[Any]:
    outputs = model(arrays, training=False)
    flat = [y for y in keras.tree.flatten(outputs) if y is not None]
    return [keras.ops.convert_to_numpy(y) for y in flat]


def run(proto: Any, arrays: list[Any]) -> list[Any]:
    """Run an ONNX model on arrays, in the order of its inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    feeds = {
        x.name: array.astype(np.float32) if x.type == "tensor(float)" else array
        for x, array in zip(session.get_inputs(), arrays, strict=True)
    }
    results: list[Any] = session.run(None, feeds)
    return results


def difference(given: list[Any], wanted: list[Any]) -> str:
    """Tell how arrays differ from those that are wanted, or return nothing."""
    if len(given) != len(wanted):
        return f"{len(given)} outputs in the place of {len(wanted)}"
    for found, expected in zip(given, wanted, strict=True):
        floats = "float" in expected.dtype.name
        dtype = np.dtype(np.float32) if floats else expected.dtype
        if found.shape != expected.shape or found.dtype not in (dtype, expected.dtype):
            return f"{found.dtype}{found.shape} in the place of {expected.dtype}{expected.shape}"
        if not floats:
            same = found == expected
        else:
            right = expected.astype(np.float32)
            same = np.isclose(
                found.astype(np.float32), right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
            )
        if not np.all(same):
            place = np.unravel_index(int(np.argmin(same)), same.shape)
            share = 1 - np.mean(same)
            return f"{found[place]} in the place of {expected[place]}, {share:.0%} of the numbers"
    return ""

"""Find the calls of layers that somebody's tests make, and hand them over with what they got."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

PARTIAL = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)
"""Tensors that no ONNX runtime takes."""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """A call of a built layer or model on arrays."""

    layer: keras.Layer
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class OutOfTime(BaseException):
    """Raised by `time_limit`; no `except Exception` catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the main thread after some seconds; an outer limit goes on afterwards."""

    def stop(_number: int, _frame: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.1) if left else 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def intercepting(take: Callable[[LayerCall], None]) -> Iterator[None]:
    """Give `take` each call of a layer on arrays, once the call itself has succeeded.

    Calls inside of calls are left out, and so are those on symbolic tensors. Nothing is trained,
    and `predict` is a call.
    """
    original = keras.Layer.__call__
    busy = False

    def intercepted(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal busy
        if busy or not _in_the_open():
            return original(layer, *args, **kwargs)
        busy = True
        try:
            outputs = original(layer, *args, **kwargs)
            call = LayerCall(layer, tuple(map(_listed, args)), kwargs)
            if tensors(call) and not any(map(keras.utils.is_keras_tensor, tensors(call))):
                take(call)
            return outputs
        finally:
            busy = False

    def predict(model: Any, x: Any, *_args: Any, **_kwargs: Any) -> Any:
        return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x))

    with (
        mock.patch.object(keras.Layer, "__call__", intercepted),
        mock.patch.object(keras.Model, "predict", predict),
        mock.patch.object(keras.Model, "fit", mock.Mock()),
    ):
        yield


def _in_the_open() -> bool:
    """Tell whether TensorFlow traces nothing, and this is the thread of the tests."""
    return tf.executing_eagerly() and threading.current_thread() is threading.main_thread()


def tensors(call: LayerCall) -> list[Any]:
    """Return each tensor among the arguments of a call once."""
    flat = keras.tree.flatten((call.args, call.kwargs))
    found = (x for x in flat if tf.is_tensor(x) or isinstance(x, _ARRAYS))
    return list({id(x): x for x in found}.values())


_ARRAYS = (np.ndarray, keras.Variable, keras.KerasTensor, *PARTIAL)


def _listed(argument: Any) -> Any:
    """Return an array for a list of numbers or words."""
    flat = keras.tree.flatten(argument)
    plain = flat and all(isinstance(x, (bool, int, float, str)) for x in flat)
    if not plain or not isinstance(argument, (list, tuple)):
        return argument
    try:
        array = np.asarray(argument)
    except ValueError:  # rows of different lengths
        return argument
    return array.astype({"i": "int32", "f": "float32"}.get(array.dtype.kind, array.dtype))

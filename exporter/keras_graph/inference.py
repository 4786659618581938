"""The context of a call of Keras, which says whether the model is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keras.src.backend.common import global_state
from keras.src.layers.layer import CallContext

CONTEXT = "current_call_ctx"
"""The name under which Keras keeps the context of the outermost call."""


@contextmanager
def in_inference() -> Iterator[None]:
    """Let every layer be called as inside `Model.predict`, with training=False.

    Without a context, a layer whose `training` is True by default, such as a Resizing inside an own
    layer, would let all layers after it run as in training.
    """
    before = global_state.get_global_attribute(CONTEXT)
    context = CallContext(entry_layer=None)
    context.set_value("training", False)
    global_state.set_global_attribute(CONTEXT, context)
    try:
        yield
    finally:
        global_state.set_global_attribute(CONTEXT, before)

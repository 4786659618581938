"""Inputs of subclassed models by a signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers, ops
from support import assert_converts, normal

import kexport
from kexport.errors import BadArgument, UnsupportedModel
from kexport.source.signature import with_signature


class Tagger(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="tagger")
        self.embed = layers.Embedding(10, 4, mask_zero=True)
        self.tag = layers.Dense(2)

    def call(self, tokens: Any, training: bool = True) -> Any:
        if training:
            raise ValueError("in training")
        return {"tags": self.tag(self.embed(tokens)), "mean": ops.mean(self.embed(tokens), 1)}


class Gated(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="gated")
        self.dense = layers.Dense(2)

    def call(self, values: Any, gate: Any) -> Any:
        return self.dense(values) * ops.cast(gate, "float32")


TOKENS = keras.InputSpec(shape=(None, None), dtype="int32", name="tokens")


def test_integers_on_an_open_axis() -> None:
    model = with_signature(Tagger(), TOKENS)
    for length in (3, 5):
        ids = np.arange(2 * length, dtype=np.int32).reshape(2, length)
        assert_converts(model, ids)
    proto = kexport.convert(Tagger(), input_signature=TOKENS)
    (tokens,) = proto.graph.input
    assert tokens.name == "tokens"
    assert [dim.dim_param for dim in tokens.type.tensor_type.shape.dim] == ["batch", "time"]
    assert [output.name for output in proto.graph.output] == ["mean", "tags"]


def test_several_arguments_are_given_by_name() -> None:
    signature = {
        "gate": keras.InputSpec(shape=(None, 2), dtype="bool"),
        "values": keras.InputSpec(shape=(None, 4), dtype="float32"),
    }
    gate = np.array([[True, False], [False, True]])
    model = with_signature(Gated(), signature)
    assert_converts(model, gate, normal(2, 4))


def test_a_list_is_given_by_place() -> None:
    shapes = [tf.TensorSpec((None, 4), tf.float32, "values"), tf.TensorSpec((None, 2), tf.bool)]
    model = with_signature(Gated(), shapes)
    assert_converts(model, normal(2, 4), np.array([[True, False], [False, True]]))


def test_a_file_has_the_inputs_of_the_signature(tmp_path: Path) -> None:
    kexport.save_onnx(Tagger(), tmp_path / "tagger.onnx", input_signature=[TOKENS])
    (tokens,) = onnx.load(tmp_path / "tagger.onnx").graph.input
    assert tokens.name == "tokens"
    assert tokens.type.tensor_type.elem_type == onnx.TensorProto.INT32


@pytest.mark.parametrize(
    "signature",
    [
        keras.InputSpec(shape=(None, 3)),
        keras.InputSpec(dtype="int32"),
        "tokens",
        [],
        [(None, 3)],
        {},
    ],
)
def test_a_signature_without_shape_or_dtype_is_refused(signature: Any) -> None:
    with pytest.raises(BadArgument, match=r"`input_signature` has") as caught:
        with_signature(Gated(), signature)
    assert "keras.InputSpec(shape=" in str(caught.value.hint)


def test_a_model_with_inputs_of_its_own_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    for given in (model, "resnet50"):
        with pytest.raises(BadArgument, match="has inputs of its own"):
            with_signature(given, TOKENS)


def test_a_call_that_fails_tells_why() -> None:
    wide = keras.InputSpec(shape=(None, 4), dtype="float32")
    with pytest.raises(UnsupportedModel, match=r"'gated' cannot be called .*'gate'"):
        with_signature(Gated(), wide)

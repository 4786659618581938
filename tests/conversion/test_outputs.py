"""Names and kinds of outputs."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from kexport.conversion import convert_model

HEADS: Any = [
    (lambda x: layers.Dense(3, activation="softmax", name="top")(x), "probabilities", "softmax"),
    (lambda x: layers.Softmax(name="top")(layers.Dense(3)(x)), "probabilities", "softmax"),
    (
        lambda x: layers.Activation("softmax", name="top")(layers.Dense(3)(x)),
        "probabilities",
        "softmax",
    ),
    (lambda x: layers.Dense(3, name="top")(x), "tensor", "linear"),
    (lambda x: layers.Dense(3, activation="sigmoid", name="top")(x), "tensor", "sigmoid"),
    (
        lambda x: layers.Activation("sigmoid", name="top")(layers.Dense(3)(x)),
        "tensor",
        "sigmoid",
    ),
    (lambda x: layers.Dense(3, activation="tanh", name="top")(x), "tensor", "tanh"),
    (lambda x: layers.Dense(3, activation="relu", name="top")(x), "tensor", None),
    (lambda x: layers.Activation("linear", name="top")(layers.Dense(3)(x)), "tensor", None),
    (lambda x: layers.LSTM(3, name="top")(layers.Reshape((2, 2))(x)), "tensor", None),
]


@pytest.mark.parametrize(("head", "kind", "activation"), HEADS)
def test_an_output_keeps_the_name_of_its_layer(head: Any, kind: str, activation: str) -> None:
    x = keras.Input((4,))
    converted = convert_model(keras.Model(x, head(x)))
    (output,) = converted.outputs
    assert (output.name, output.layer, output.rank) == ("top", "top", 2)
    assert (output.kind, output.activation) == (kind, activation)
    assert [value.name for value in converted.model.graph.outputs] == ["top"]


def test_a_softmax_without_a_name_has_the_same_name_in_every_process() -> None:
    x = keras.Input((4,))
    layer = layers.Dense(3, activation="softmax")
    (output,) = convert_model(keras.Model(x, layer(x))).outputs
    assert (output.name, output.layer) == ("probabilities", layer.name)


def test_a_function_tells_its_activation() -> None:
    x = keras.Input((4,))
    y = keras.ops.sigmoid(layers.Dense(3)(x))
    (output,) = convert_model(keras.Model(x, keras.ops.transpose(y))).outputs
    assert output.activation == "sigmoid"


def test_the_kind_of_the_caller_takes_precedence() -> None:
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x)))
    (output,) = convert_model(model, kind="features").outputs
    assert (output.name, output.kind) == ("features", "features")


def test_the_kind_is_found_in_a_nested_model() -> None:
    x = keras.Input((4,))
    head = keras.Model(x, layers.Dense(3, activation="softmax", name="top")(x), name="head")
    z = keras.Input((4,))
    (output,) = convert_model(keras.Model(z, head(z))).outputs
    assert (output.name, output.kind, output.layer) == ("top", "probabilities", "top")


def test_several_outputs_keep_their_names_and_kinds() -> None:
    x = keras.Input((4,))
    outputs = [
        layers.Dense(3, activation="softmax", name="species")(x),
        layers.Dense(1, name="weight")(x),
    ]
    found = convert_model(keras.Model(x, outputs)).outputs
    assert [(o.name, o.kind) for o in found] == [("species", "probabilities"), ("weight", "tensor")]


def test_a_dict_gives_the_names() -> None:
    x = keras.Input((4,))
    outputs = {"b": layers.Dense(3, activation="softmax")(x), "a": layers.ReLU()(x)}
    found = convert_model(keras.Model(x, outputs)).outputs
    assert [(o.name, o.kind) for o in found] == [("a", "tensor"), ("b", "probabilities")]


def test_names_have_no_colons_or_spaces() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, {"my output:0": layers.ReLU()(x), "other": x + 1.0})
    assert [o.name for o in convert_model(model).outputs] == ["my_output_0", "other"]

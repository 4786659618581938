"""Names and kinds of outputs."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from kexport.conversion import convert_model

CLASSIFIER: Any = [
    (lambda x: layers.Dense(3, activation="softmax", name="top")(x), "probabilities", "top"),
    (lambda x: layers.Softmax(name="soft")(layers.Dense(3)(x)), "probabilities", "soft"),
    (
        lambda x: layers.Activation("softmax", name="act")(layers.Dense(3)(x)),
        "probabilities",
        "act",
    ),
    (lambda x: layers.Dense(3, name="top")(x), "logits", "top"),
]


@pytest.mark.parametrize(("head", "kind", "layer"), CLASSIFIER)
def test_a_classifier(head: Any, kind: str, layer: str) -> None:
    x = keras.Input((4,))
    converted = convert_model(keras.Model(x, head(x)))
    (output,) = converted.outputs
    assert (output.name, output.kind, output.layer) == (kind, kind, layer)
    assert [value.name for value in converted.model.graph.outputs] == [kind]


def test_other_outputs_have_the_name_of_their_layer() -> None:
    x = keras.Input((4,))
    (output,) = convert_model(
        keras.Model(x, layers.Dense(3, activation="relu", name="h")(x))
    ).outputs
    assert (output.name, output.kind) == ("h", "tensor")


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
    assert (output.name, output.kind, output.layer) == ("probabilities", "probabilities", "top")


def test_several_outputs_keep_their_names_and_kinds() -> None:
    x = keras.Input((4,))
    outputs = [
        layers.Dense(3, activation="softmax", name="species")(x),
        layers.Dense(1, name="weight")(x),
    ]
    found = convert_model(keras.Model(x, outputs)).outputs
    assert [(o.name, o.kind) for o in found] == [("species", "probabilities"), ("weight", "logits")]


def test_a_dict_gives_the_names() -> None:
    x = keras.Input((4,))
    outputs = {"b": layers.Dense(3, activation="softmax")(x), "a": layers.ReLU()(x)}
    found = convert_model(keras.Model(x, outputs)).outputs
    assert [(o.name, o.kind) for o in found] == [("a", "tensor"), ("b", "probabilities")]


def test_names_have_no_colons_or_spaces() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, {"my output:0": layers.ReLU()(x), "other": x + 1.0})
    assert [o.name for o in convert_model(model).outputs] == ["my_output_0", "other"]

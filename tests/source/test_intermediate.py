"""Outputs of chosen layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import keras_answers, normal, randomise

from kexport.errors import BadArgument, UnsupportedModel
from kexport.source.intermediate import at_layers


def inner(name: str, layer: str = "deep") -> keras.Model:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", name=layer)(x)
    return keras.Model(x, layers.Conv2D(3, 1, name=f"{name}_last")(y), name=name)


def outer(*models: keras.Model) -> keras.Model:
    x = keras.Input((8, 8, 3), name="x")
    y = x
    for model in models:
        y = model(y)
    y = layers.Flatten(name="flat")(y)
    return randomise(keras.Model(x, layers.Dense(3, activation="softmax", name="top")(y)))


def answers(model: keras.Model, names: list[str], x: Any) -> list[Any]:
    return keras_answers(at_layers(model, names), [x])


X = normal(2, 8, 8, 3)


def test_without_names_the_model_is_itself() -> None:
    model = outer(inner("base"))
    assert at_layers(model, ()) is model


@pytest.mark.parametrize("name", ["deep", "base/deep"])
def test_a_layer_of_an_inner_model(name: str) -> None:
    base = inner("base")
    model = outer(base)
    (given,) = answers(model, [name], X)
    wanted = keras.Model(base.inputs, base.get_layer("deep").output)(X)
    np.testing.assert_array_equal(given, np.asarray(wanted))


def test_the_order_is_the_users_and_an_inner_model_is_a_layer_too() -> None:
    model = outer(inner("base"))
    top, base, flat = answers(model, ["top", "base", "flat"], X)
    np.testing.assert_array_equal(top, np.asarray(model(X)))
    np.testing.assert_array_equal(base.reshape(2, -1), flat)


def test_three_models_deep() -> None:
    middle = keras.Sequential([keras.Input((8, 8, 3)), inner("base")], name="middle")
    model = outer(middle)
    by_path, by_name = answers(model, ["middle/base/deep", "deep"], X)
    np.testing.assert_array_equal(by_path, by_name)


def test_two_layers_of_one_name_are_told_apart_by_their_paths() -> None:
    model = outer(inner("left"), inner("right"))
    with pytest.raises(BadArgument, match="has 2 layers named 'deep'") as caught:
        at_layers(model, ["deep"])
    assert caught.value.hint == "say which: left/deep or right/deep"
    assert len(answers(model, ["left/deep", "right/deep"], X)) == 2


def test_a_layer_that_is_called_twice_has_two_outputs() -> None:
    x = keras.Input((8, 8, 3))
    twice = layers.Conv2D(3, 3, padding="same", name="twice")
    model = randomise(keras.Model(x, layers.Flatten()(twice(twice(x)))))
    first, second = answers(model, ["twice"], X)
    np.testing.assert_array_equal(first, np.asarray(twice(X)))
    np.testing.assert_allclose(second, np.asarray(twice(first)), rtol=1e-6)


def test_a_layer_first_called_in_another_model_is_read_in_this_one() -> None:
    shared = layers.Dense(3, name="shared")
    elsewhere = keras.Input((4,))
    keras.Model(elsewhere, shared(elsewhere))
    x = keras.Input((4,))
    model = keras.Model(x, layers.ReLU()(shared(x)))
    (given,) = answers(model, ["shared"], normal(2, 4))
    np.testing.assert_array_equal(given, np.asarray(shared(normal(2, 4))))


def test_dict_inputs_stay() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(2)(layers.Add(name="sum")([a, b])))
    given = at_layers(model, ["sum"])({"a": normal(2, 4), "b": normal(2, 4)})
    np.testing.assert_array_equal(np.asarray(given), 2 * normal(2, 4))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("deap", "did you mean 'deep'?"),
        ("base/deap", "did you mean 'base/deep'?"),
        ("zzzzzzz", "keras.Model.summary(expand_nested=True) lists the layers' names"),
    ],
)
def test_a_name_that_no_layer_has(name: str, hint: str) -> None:
    with pytest.raises(BadArgument, match=f"has no layer '{name}'") as caught:
        at_layers(outer(inner("base")), [name])
    assert caught.value.hint == hint


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.top = layers.Dense(3, name="top")

    def call(self, x: Any) -> Any:
        return self.top(x)


def test_a_subclassed_model_cannot_be_read_inside() -> None:
    model = Subclassed()
    model(normal(1, 4))
    with pytest.raises(UnsupportedModel, match="is subclassed"):
        at_layers(model, ["top"])

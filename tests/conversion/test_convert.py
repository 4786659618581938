"""Models of every structure: nested, shared, many inputs and outputs, dicts, Sequential."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from support import assert_converts, assert_near, keras_answers, normal, onnx_answers, randomise

from kexport.conversion import convert_model, input_specs
from kexport.errors import UnsupportedModel


def block(name: str) -> keras.Model:
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(3, 3, padding="same", name="conv")(x)
    return keras.Model(x, layers.BatchNormalization(name="norm")(y), name=name)


def test_nested_models_to_any_depth() -> None:
    inner = block("inner")
    x = keras.Input((8, 8, 3))
    middle = keras.Model(x, layers.ReLU()(inner(x)), name="middle")
    outer = keras.Sequential([keras.Input((8, 8, 3)), middle, layers.Flatten(), layers.Dense(2)])
    converted = assert_converts(randomise(outer), normal(2, 8, 8, 3))
    assert "middle/inner/conv/kernel" in converted.model.graph.initializers


def test_a_model_called_twice_has_one_set_of_weights() -> None:
    shared = block("shared")
    x = keras.Input((8, 8, 3))
    model = randomise(keras.Model(x, shared(shared(x))))
    converted = assert_converts(model, normal(2, 8, 8, 3))
    assert len(converted.model.graph.initializers) == len(shared.weights)


def test_a_siamese_model() -> None:
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    shared = keras.Sequential([layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()])
    model = randomise(keras.Model([left, right], layers.Subtract()([shared(left), shared(right)])))
    assert_converts(model, normal(2, 8, 8, 3), normal(2, 8, 8, 3, seed=1))


@pytest.mark.parametrize("build", ["call", "build", "input"])
def test_sequential(build: str) -> None:
    first = [keras.Input((6, 6, 3))] if build == "input" else []
    model = keras.Sequential([*first, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)])
    if build == "call":
        model(normal(2, 6, 6, 3))
    elif build == "build":
        model.build((None, 6, 6, 3))
    assert_converts(randomise(model), normal(2, 6, 6, 3))


def test_a_model_that_was_never_built_is_refused() -> None:
    model = keras.Sequential([layers.Dense(3)], name="blank")
    with pytest.raises(UnsupportedModel, match="'blank' has no known inputs") as caught:
        convert_model(model)
    assert "call it once" in (caught.value.hint or "")


def test_inputs_in_a_list() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = randomise(keras.Model([b, a], layers.Dense(3)(a) - layers.Dense(3)(b)))
    converted = assert_converts(model, normal(2, 4), normal(2, 4, seed=1))
    assert [value.name for value in converted.model.graph.inputs] == ["b", "a"]


def test_inputs_and_outputs_in_a_dict() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    outputs = {"total": a + b, "kept": layers.Dense(2)(a)}
    model = randomise(keras.Model({"second": b, "first": a}, outputs))
    feeds = {"second": normal(2, 4), "first": normal(2, 4, seed=1)}
    expected = model(feeds)
    converted = convert_model(model)
    names = [value.name for value in converted.model.graph.inputs]
    assert names == ["first", "second"]
    given = onnx_answers(converted.model, [feeds[name] for name in names])
    assert [output.name for output in converted.outputs] == ["kept", "total"]
    assert_near(given, [np.asarray(expected[output.name]) for output in converted.outputs])


def test_outputs_in_a_nested_structure() -> None:
    x = keras.Input((4,))
    y, z = layers.Dense(3, name="y")(x), layers.Dense(2, name="z")(x)
    model = randomise(keras.Model(x, {"pair": [z, y], "one": y}))
    converted = assert_converts(model, normal(2, 4))
    assert [output.name for output in converted.outputs] == ["one", "pair_0", "pair_1"]


def test_an_output_that_feeds_another_layer() -> None:
    x = keras.Input((6, 6, 3))
    y = layers.Conv2D(4, 3, name="map")(x)
    model = randomise(keras.Model(x, [y, layers.Flatten(name="flat")(y)]))
    converted = assert_converts(model, normal(2, 6, 6, 3))
    assert [output.name for output in converted.outputs] == ["map", "flat"]


def test_an_output_that_is_an_input() -> None:
    x = keras.Input((4,), name="x")
    converted = assert_converts(keras.Model(x, [x, x * 2.0]), normal(2, 4))
    names = [value.name for value in converted.model.graph.outputs]
    assert names[0] == "x_output"
    assert len({"x", *names}) == 3


def test_the_same_output_twice() -> None:
    x = keras.Input((4,))
    y = layers.Dense(3, name="top")(x)
    converted = assert_converts(randomise(keras.Model(x, [y, y])), normal(2, 4))
    assert [output.name for output in converted.outputs] == ["top_0", "top_1"]


def test_a_layer_with_two_calls_that_are_both_outputs() -> None:
    x, y = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(3, name="shared")
    model = randomise(keras.Model([x, y], [shared(x), shared(y)]))
    converted = assert_converts(model, normal(2, 4), normal(2, 4, seed=1))
    assert len({output.name for output in converted.outputs}) == 2


def test_no_output_is_named_image() -> None:
    x = keras.Input((8, 8, 3))
    (output,) = convert_model(keras.Model(x, layers.Conv2D(3, 3, name="image")(x))).outputs
    assert output.name == "image_output"


def test_a_nested_model_with_several_outputs() -> None:
    x = keras.Input((4,))
    inner = keras.Model(x, [layers.Dense(3)(x), layers.Dense(2)(x)], name="inner")
    z = keras.Input((4,))
    first, second = inner(z)
    model = randomise(keras.Model(z, [second, layers.ReLU()(first)]))
    assert_converts(model, normal(2, 4))


TRAINED: dict[str, Any] = {
    "rule": lambda: layers.BatchNormalization(),
    "dropout": lambda: layers.Dropout(0.5),
    "traced": lambda: layers.RandomFlip(),
    "nested": lambda: block("inner"),
}


@pytest.mark.parametrize("kind", TRAINED)
def test_a_recorded_training_argument_is_ignored_as_in_predict(kind: str) -> None:
    x = keras.Input((8, 8, 3))
    model = randomise(keras.Model(x, TRAINED[kind]()(x, training=True)))
    given = normal(2, 8, 8, 3)
    assert_converts(model, given, expected=[model.predict(given, verbose=0)])


def test_dropout_called_for_inference_does_nothing() -> None:
    x = keras.Input((4,))
    converted = assert_converts(
        keras.Model(x, layers.Dropout(0.5)(x, training=False)), normal(2, 4)
    )
    assert converted.traced == ()


class Doubled(keras.Model):
    """A subclass of the functional model that computes something of its own."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(inputs, training=training, mask=mask) * 2


def test_a_functional_subclass_with_its_own_call_is_traced() -> None:
    x = keras.Input((4,))
    model = Doubled(x, layers.Dense(3)(x))
    converted = assert_converts(randomise(model), normal(2, 4))
    assert converted.traced == (model.name,)


def test_inputs_without_a_name_are_called_input() -> None:
    """Keras would count them up through the whole process."""
    x, y = keras.Input((4,)), keras.Input((4,))
    (spec,) = input_specs(keras.Model(x, x * 2.0))
    assert spec.name == "input"
    specs = input_specs(keras.Model([x, y], x + y))
    assert [spec.name for spec in specs] == ["input_0", "input_1"]


def test_input_specs_name_open_axes() -> None:
    model = keras.Model(x := keras.Input((None, 5, 3), name="x"), layers.ReLU()(x))
    (spec,) = input_specs(model)
    assert (spec.name, spec.dtype, spec.shape) == (
        "x",
        ir.DataType.FLOAT,
        ("batch", "height", 5, 3),
    )


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool", "float16"])
def test_inputs_of_any_type(dtype: str) -> None:
    x = keras.Input((4,), dtype=dtype)
    model = keras.Model(x, keras.ops.cast(x, "float32") * 2.0)
    given = (np.arange(8).reshape(2, 4) % 3).astype("float32" if dtype == "float16" else dtype)
    converted = assert_converts(model, given)
    (x_value,) = converted.model.graph.inputs
    assert x_value.dtype is not None
    assert x_value.dtype.numpy() == given.dtype


def test_conversion_leaves_the_model_as_it_was() -> None:
    model = randomise(block("kept"))
    before = [layer.name for layer in model.layers], len(model.layers[1]._inbound_nodes)
    answers = keras_answers(model, [normal(1, 5, 5, 3)])
    convert_model(model)
    assert before == ([layer.name for layer in model.layers], len(model.layers[1]._inbound_nodes))
    assert_near(keras_answers(model, [normal(1, 5, 5, 3)]), answers, 0.0)

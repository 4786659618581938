"""Keras' outputs on the samples, and the logits before a softmax."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import healthy, keras_answers, normal, small_classifier

from kexport.errors import UnsupportedModel
from kexport.parity import keras_outputs
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images


def test_reference_is_keras_in_batches_of_any_size() -> None:
    model = healthy(small_classifier(), "tf")
    x = prepare(draw_images(5, 24, 24), "tf")
    found = keras_outputs.compute(model, [x], ["top"]).outputs
    np.testing.assert_allclose(found["top"], keras_answers(model, [x])[0], atol=1e-6)
    assert found["top"].dtype == np.float32


def test_a_model_that_keras_does_not_compute_is_refused() -> None:
    """RandomCrop declares the size of its crop, and does not crop where nothing is trained."""
    x = keras.Input((6, 5, 3))
    model = keras.Model(x, layers.Reshape((36,))(layers.RandomCrop(3, 4)(x)), name="cropped")
    said = r"Keras itself does not compute model 'cropped' for a batch of 3: .*target_shape=\(36,\)"
    with pytest.raises(UnsupportedModel, match=said):
        keras_outputs.compute(model, [normal(3, 6, 5, 3)], ["y"])


def test_reference_of_several_inputs_and_outputs() -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = keras.Model({"first": a, "second": b}, {"sum": a + b, "less": a - b})
    x, y = normal(4, 3), normal(4, 3, seed=1)
    found = keras_outputs.compute(model, [x, y], ["less", "sum"]).outputs
    np.testing.assert_allclose(found["sum"], x + y, atol=1e-6)
    np.testing.assert_allclose(found["less"], x - y, atol=1e-6)


ENDS: dict[str, Any] = {
    "Dense": lambda x: layers.Dense(3, activation="softmax")(x),
    "Softmax": lambda x: layers.Softmax()(layers.Dense(3)(x)),
    "Activation": lambda x: layers.Activation("softmax")(layers.Dense(3)(x)),
    "keras.ops": lambda x: keras.ops.softmax(layers.Dense(3)(x)),
    "inner model": lambda x: keras.Sequential([layers.Dense(3, activation="softmax")])(x),
}


@pytest.mark.parametrize("end", ENDS)
def test_logits_are_those_that_went_into_the_softmax(end: str) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, ENDS[end](x))
    dense = next(one for one in model._flatten_layers() if isinstance(one, layers.Dense))
    given = normal(5, 4)
    found = keras_outputs.compute(model, [given], ["p"], ["p"])
    kernel, bias = (np.asarray(variable) for variable in (dense.kernel, dense.bias))
    np.testing.assert_allclose(found.logits["p"], given @ kernel + bias, atol=1e-5)
    assert found.quantity("p") is found.logits["p"]


@pytest.mark.parametrize("end", ["Dense", "Activation"])
def test_logits_of_a_sigmoid_are_kept_as_well(end: str) -> None:
    x = keras.Input((4,))
    made = {
        "Dense": lambda: layers.Dense(3, activation="sigmoid")(x),
        "Activation": lambda: layers.Activation("sigmoid")(layers.Dense(3)(x)),
    }
    model = keras.Model(x, made[end]())
    given = normal(5, 4)
    found = keras_outputs.compute(model, [given], ["p"])
    kernel, bias = (np.asarray(variable) for variable in model.weights)
    np.testing.assert_allclose(found.quantity("p"), given @ kernel + bias, atol=1e-5)


def test_a_softmax_whose_result_is_moved_has_no_logits_of_its_shape() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, layers.Reshape((2, 2))(layers.Softmax()(x)))
    found = keras_outputs.compute(model, [normal(5, 4)], ["p"], ["p"])
    assert found.logits == {}
    centred = found.quantity("p")
    np.testing.assert_allclose(centred.mean(axis=-1), 0, atol=1e-12)

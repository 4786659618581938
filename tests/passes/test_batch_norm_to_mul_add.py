"""batch_norm_to_mul_add: a BatchNormalization as a Mul and an Add."""

import keras
import pytest
from keras import layers
from support import assert_pure_and_equal, normal, operators, randomise

from kexport.conversion import convert_model
from kexport.passes.batch_norm_to_mul_add import batch_norm_to_mul_add


@pytest.mark.parametrize("shape", [(4,), (5, 4), (5, 6, 4), (2, 3, 4, 4)])
def test_batch_norm_becomes_mul_and_add(shape: tuple[int, ...]) -> None:
    x = keras.Input(shape)
    model = convert_model(randomise(keras.Model(x, layers.BatchNormalization()(x)))).model
    name = model.graph.inputs[0].name or ""
    changed = assert_pure_and_equal(batch_norm_to_mul_add, model, {name: normal(2, *shape)})
    assert (operators(changed)["Mul"], operators(changed)["Add"]) == (1, 1)
    assert "BatchNormalization" not in operators(changed)

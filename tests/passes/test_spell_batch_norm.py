"""spell_batch_norm: what nothing absorbed, as a product and a sum."""

import keras
import pytest
from keras import layers
from support import assert_pure_and_equal, normal, operators, randomise

from kexport.conversion import convert_model
from kexport.passes.spell_batch_norm import spell_batch_norm


@pytest.mark.parametrize("shape", [(4,), (5, 4), (5, 6, 4), (2, 3, 4, 4)])
def test_a_product_and_a_sum(shape: tuple[int, ...]) -> None:
    x = keras.Input(shape)
    model = convert_model(randomise(keras.Model(x, layers.BatchNormalization()(x)))).model
    name = model.graph.inputs[0].name or ""
    changed = assert_pure_and_equal(spell_batch_norm, model, {name: normal(2, *shape)})
    assert (operators(changed)["Mul"], operators(changed)["Add"]) == (1, 1)
    assert "BatchNormalization" not in operators(changed)

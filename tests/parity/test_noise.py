"""Rounding noise: its size against closed forms and float64, and that nothing is changed by it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import healthy, normal, onnx_answers, simplified, small_classifier

from kexport.parity import keras_outputs, noise
from kexport.parity.tolerance import FACTORS
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images


def measured(model: keras.Model, *inputs: np.ndarray, precision: str = "fp32") -> float:
    answers = keras_outputs.compute(model, inputs, ["y"])
    return float(noise.measure(model, inputs, answers, precision)["y"].max(initial=0.0))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_of_one_product_it_is_at_most_five_units(precision: str) -> None:
    """Three numbers are off by a unit, and four results are rounded by half of one."""
    x = keras.Input((1,))
    model = keras.Model(x, layers.Dense(1, use_bias=False)(x))
    given = np.linspace(1, 2, 256, dtype=np.float32)[:, np.newaxis]
    largest = 2 * abs(float(np.asarray(model.layers[1].kernel).item()))
    unit = noise.UNITS[precision]
    assert unit < measured(model, given, precision=precision) / largest < 5 * unit


def test_of_a_sum_that_cancels_it_is_that_of_its_terms() -> None:
    """y = sum w x + w' x with w' near -w: errors are relative to the terms, not to their sum."""
    x = keras.Input((1,))
    up, down = layers.Dense(1, use_bias=False), layers.Dense(1, use_bias=False)
    model = keras.Model(x, layers.Add()([up(x), down(x)]))
    up.kernel.assign([[1000.0]])
    down.kernel.assign([[-999.0]])
    given = np.linspace(1, 2, 64, dtype=np.float32)[:, np.newaxis]
    found = measured(model, given)
    assert 500 * noise.UNITS["fp32"] < found < 2 * 2 * 3 * 1000 * noise.UNITS["fp32"]


@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_it_is_of_the_size_of_float32s_own_error(gain: float) -> None:
    """Keras in float32 is away from NumPy in float64 by less than what would be allowed."""
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(8):
        model.add(layers.Dense(64, activation="tanh"))
    weights = [(rng.normal(0, gain / 8, (64, 64)), rng.normal(0, 0.1, 64)) for _ in range(8)]
    for layer, (kernel, bias) in zip(model.layers, weights, strict=True):
        layer.set_weights([kernel, bias])
    given = normal(8, 64)
    exact = given.astype(np.float64)
    for layer in model.layers:
        kernel, bias = (np.asarray(variable).astype(np.float64) for variable in layer.variables)
        exact = np.tanh(exact @ kernel + bias)
    error = float(np.abs(np.asarray(model(given)) - exact).max())
    found = measured(model, given)
    assert error < FACTORS["fp32"] * found
    assert found < 20 * error


def test_a_model_is_left_as_it_was() -> None:
    model = healthy(small_classifier(), "tf")
    x = prepare(draw_images(3, 24, 24), "tf")
    before, answer = [np.asarray(v).copy() for v in model.variables], np.asarray(model(x))
    answers = keras_outputs.compute(model, [x], ["y"], ["y"])
    first, second = (noise.measure(model, [x], answers, "fp32") for _ in range(2))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    for variable, array in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), array)
    np.testing.assert_array_equal(np.asarray(model(x)), answer)


def test_masks_reach_the_layers_behind_a_perturbed_one() -> None:
    """A mask that got lost would change the outputs by as much as the masked steps weigh."""
    model = keras.Sequential(
        [keras.Input((6, 3)), layers.Masking(), layers.Dense(4), layers.LSTM(5)]
    )
    x = normal(4, 6, 3)
    x[:, 3:] = 0
    model.layers[1].bias.assign(np.full(4, 3.0))
    assert measured(model, x) < 1e-5


class Scaled(keras.Model):
    """A subclassed model, whose layers have no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs: object) -> object:
        return self.dense(inputs) * 2.0


def test_a_subclassed_model_is_perturbed_through_its_weights() -> None:
    model = Scaled()
    x = normal(4, 5)
    model(x)
    assert noise.UNITS["fp32"] / 4 < measured(model, x) < 100 * noise.UNITS["fp32"]


def test_integers_and_empty_outputs_have_no_noise() -> None:
    x = keras.Input((4,), dtype="int32")
    assert measured(keras.Model(x, x * 2), np.arange(8, dtype=np.int32).reshape(2, 4)) == 0


def test_ids_in_floating_point_are_not_moved() -> None:
    model = keras.Sequential([keras.Input((7,)), layers.Embedding(90, 3)])
    given = [np.arange(28, dtype=np.float32).reshape(4, 7)]
    answers = keras_outputs.compute(model, given, ["output"])
    moved = noise.measure(model, given, answers, "fp32")["output"].max()
    kept = noise.measure(model, given, answers, "fp32", discrete={0})["output"].max()
    assert kept < 1e-6 < moved


AVERAGES = {
    "layer": lambda x: layers.GlobalAveragePooling2D()(x),
    "operation": lambda x: keras.ops.mean(x, axis=(1, 2)),
    "masked": lambda x: layers.GlobalAveragePooling1D()(
        layers.Masking()(layers.Reshape((-1, 1))(x))
    ),
}


@pytest.mark.parametrize("average", AVERAGES)
def test_the_error_of_a_long_sum_is_part_of_it(average: str) -> None:
    """The sum of equal numbers rounds in one direction; float64 tells by how much."""
    x = keras.Input((512, 512, 1))
    model = keras.Model(x, AVERAGES[average](x))
    given = np.full((1, 512, 512, 1), 0.7, np.float32)
    exact = float(given.astype(np.float64).mean())
    error = float(np.abs(np.asarray(model(given), np.float64) - exact).max())
    assert measured(model, given) >= 0.9 * error


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("name", "size"), [("AveragePooling", [2]), ("GlobalAveragePooling", [])])
def test_averages_of_every_rank_are_measured(name: str, size: list[int], rank: int) -> None:
    """TensorFlow has not all of them in float64."""
    shape = (6, 5, 4)[:rank]
    x = keras.Input((*shape, 2))
    model = keras.Model(x, getattr(layers, f"{name}{rank}D")(*size)(x))
    given = normal(3, *shape, 2)
    assert 1e-9 < measured(model, given) < 4 * noise.UNITS["fp32"] * np.abs(given).max()


NORMS = {
    "LayerNormalization": lambda x: layers.LayerNormalization(axis=[1, 2, 3])(x),
    "GroupNormalization": lambda x: layers.GroupNormalization(1)(x),
}


@pytest.mark.parametrize("norm", NORMS)
def test_the_error_of_normalized_equal_numbers_is_part_of_it(norm: str) -> None:
    """The exact result is zero; Keras' mean is off, and divided by a small deviation."""
    x = keras.Input((160, 160, 2))
    model = keras.Model(x, NORMS[norm](x))
    given = np.full((2, 160, 160, 2), 0.7, np.float32)
    error = float(np.abs(np.asarray(model(given))).max())
    assert error > 2e-5
    assert measured(model, given) >= 0.9 * error


def test_of_an_output_that_saturates_it_is_that_of_the_few_elements_that_do_not() -> None:
    """All but one of 500 tanh are 1; a single run finds the last one still in one case of three."""
    x = keras.Input((8,))
    model = keras.Model(x, layers.Dense(100, activation="tanh")(x))
    kernel = np.zeros((8, 100), np.float32)
    kernel[:2, 0] = 1, -1
    model.layers[1].set_weights([kernel, np.full(100, 30, np.float32)])
    model.layers[1].bias.assign([0.5] + [30.0] * 99)
    given = np.full((5, 8), 4096, np.float32)
    found = noise.measure(model, [given], keras_outputs.compute(model, [given], ["y"]), "fp32")["y"]
    assert 4096 * noise.UNITS["fp32"] / 8 < found.max() < 4 * 4096 * noise.UNITS["fp32"]


@pytest.mark.parametrize("norm", NORMS)
def test_the_error_of_an_engines_mean_is_within_ten_times_it(norm: str) -> None:
    """A sum over the normalized numbers adds up the error of their mean as often as there are."""
    x = keras.Input((18, 5, 12))
    y = layers.Flatten()(NORMS[norm](x))
    model = keras.Model(x, layers.Dense(1, kernel_initializer="ones")(y))
    given = np.full((2, 18, 5, 12), 0.48026088, np.float32)
    (found,) = onnx_answers(simplified(model), [given])
    error = float(np.abs(found).max())
    assert error < FACTORS["fp32"] * measured(model, given)
    assert error > 1e-2 or norm == "LayerNormalization"


def test_of_a_gate_near_1_it_is_that_of_what_the_gate_leaves() -> None:
    """z of a GRU is rounded to a unit of 1, and 1 - z is what the new state is multiplied with."""
    x = keras.Input((1, 3))
    gru = layers.GRU(3, activation="linear")
    model = keras.Model(x, gru(x))
    bias = np.zeros((2, 9), np.float32)
    bias[0, :3] = 12
    gru.set_weights([np.eye(3, 9, 6, dtype=np.float32), np.zeros((3, 9), np.float32), bias])
    given = np.full((4, 1, 3), 1000, np.float32)
    assert measured(model, given) > 1000 * noise.UNITS["fp32"] / 2


@pytest.mark.parametrize("function", ["gelu", "silu"])
@pytest.mark.parametrize("as_operation", [False, True])
def test_of_a_factor_that_vanishes_it_is_a_unit_of_the_input(
    function: str, as_operation: bool
) -> None:
    x = keras.Input((64,))
    y = getattr(keras.ops, function)(x) if as_operation else layers.Activation(function)(x)
    unit = 20 * noise.UNITS["fp32"]
    assert unit / 4 < measured(keras.Model(x, y), np.full((8, 64), -20, np.float32)) < 2 * unit


def test_a_number_that_rounding_makes_infinite_has_moved_infinitely() -> None:
    x = keras.Input((64,))
    model = keras.Model(x, keras.ops.exp(x))
    found = measured(model, np.full((4, 64), np.log(np.finfo(np.float32).max), np.float32))
    assert found == np.inf


def test_an_exception_of_keras_for_perturbed_inputs_is_passed_over() -> None:
    class Picky(layers.Layer):
        def call(self, inputs: Any) -> Any:
            if np.any(np.asarray(inputs) != 1):
                raise ValueError("only ones")
            return inputs * 2.0

        def compute_output_spec(self, inputs: Any) -> Any:
            return keras.KerasTensor(inputs.shape, inputs.dtype)

    x = keras.Input((3,))
    assert measured(keras.Model(x, Picky()(x)), np.ones((2, 3), np.float32)) == 0

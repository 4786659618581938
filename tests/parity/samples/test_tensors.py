"""Samples of ids, masks and numbers, beside what Keras makes of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import Tokens, model_of

from kexport.parity import samples
from kexport.parity.samples import Samples


def of(model: keras.Model, **options: Any) -> Samples:
    return samples.make(model, "none", 0, **options)


def computed_mask(layer: Any, given: Any) -> Any:
    """Return the mask that Keras computes, [N, steps]."""
    return np.asarray(layer.compute_mask(ops.convert_to_tensor(given)))


def kinds_of(mask: Any) -> set[str]:
    """Name the kinds of padding in a mask [N, steps]."""
    found = set()
    for row in mask.astype(bool):
        if row.all():
            found.add("none")
        elif not row.any():
            found.add("all")
        elif row[0] and row[-1]:
            found.add("middle")
        else:
            found.add("right" if row[0] else "left")
    return found


ALL_KINDS = {"none", "all", "middle", "right", "left"}


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_masking_meets_every_kind_of_padding(value: float) -> None:
    layer = layers.Masking(value)
    model = keras.Sequential([keras.Input((7, 4)), layer, layers.LSTM(5)])
    made = of(model)
    assert kinds_of(computed_mask(layer, made.prepared[0])) == ALL_KINDS
    assert made.discrete == {0}
    assert not made.left_out


def test_an_embedding_that_masks_zero_meets_every_kind_of_padding() -> None:
    layer = layers.Embedding(20, 3, mask_zero=True)
    model = keras.Sequential([keras.Input((7,), dtype="int32"), layer, layers.GRU(5)])
    assert kinds_of(computed_mask(layer, of(model).prepared[0])) == ALL_KINDS


def test_steps_whose_masking_gives_nan_are_left_out_and_named() -> None:
    model = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(20, 3, mask_zero=True),
            layers.GlobalAveragePooling1D(),
        ]
    )
    made = of(model)
    assert made.left_out == ("input with all steps masked: Keras gives NaN or infinity",)
    assert made.prepared[0].any(axis=1).all()
    assert np.isfinite(np.asarray(model(made.prepared[0]))).all()


@pytest.mark.parametrize(("count", "steps"), [(3, 7), (25, 7), (1000, 7), (5, 1), (1, 4)])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_ids_cover_the_table(count: int, steps: int, dtype: str) -> None:
    model = model_of(layers.Embedding(count, 3), (steps,), dtype=dtype)
    (given,) = of(model).raw.values()
    found = set(np.unique(given).tolist())
    assert found <= set(range(count))
    assert {0, count - 1} <= found
    if count <= 4 * steps:
        assert found == set(range(count))
    else:
        assert max(np.diff(sorted(found))) <= 2 * count / (4 * steps)


def test_a_table_inside_a_custom_layer_is_read_to_its_end() -> None:
    made = of(model_of(Tokens(), (7,), dtype="int32"))
    (given,) = made.raw.values()
    assert given[: made.ordinary].max() == 6
    assert given.max() == 49
    assert not made.left_out


def test_ids_beyond_a_table_are_left_out() -> None:
    x = keras.Input((7,), dtype="int32")
    made = of(keras.Model(x, [layers.Embedding(5, 2)(x), layers.Embedding(9, 2)(x)]))
    assert made.raw["input"].max() == 4
    assert len(made.left_out) == 1
    assert made.left_out[0].startswith("input with ids up to 8: ")
    assert "not in [0, 5)" in made.left_out[0]


def attention() -> keras.Model:
    x, mask = keras.Input((7, 4), name="x"), keras.Input((7,), dtype="bool", name="mask")
    y = layers.MultiHeadAttention(2, 3)(x, x, attention_mask=ops.expand_dims(mask, 1))
    return keras.Model([x, mask], y)


def test_a_mask_is_full_partial_and_empty() -> None:
    made = of(attention())
    mask = made.raw["mask"]
    assert mask.dtype == bool
    assert kinds_of(mask) == ALL_KINDS
    assert mask[0].all()
    assert not mask[1 : made.ordinary].all()


def test_numbers_are_ordinary_constant_large_and_small() -> None:
    made = of(model_of(layers.Dense(3), (50,)))
    (given,) = made.raw.values()
    assert 0.8 < given[: made.ordinary].std() < 1.2
    hard = given[made.ordinary :]
    assert sorted(np.ptp(row) == 0 for row in hard) == [False, False, True, True]
    assert any(not row.any() for row in hard)
    spreads = sorted(row.std() for row in hard)
    assert 0 < spreads[2] < 0.01
    assert 3 < spreads[3] < 5


@pytest.mark.parametrize("target", [(2, 6), (4, 3, 1), (12,)])
def test_statistics_of_axes_that_a_reshape_makes(target: tuple[int, ...]) -> None:
    """They do not broadcast to the input, whose numbers are then drawn from all of them."""
    mean = np.linspace(90, 110, target[-1])
    x = keras.Input((3, 4))
    layer = layers.Normalization(mean=mean.tolist(), variance=np.full(target[-1], 4.0).tolist())
    model = keras.Model(x, layer(layers.Reshape(target)(x)))
    found = samples.make(model, "none", 0)
    drawn = found.prepared[0][: found.ordinary]
    assert drawn.shape[1:] == (3, 4)
    assert 85 < drawn.mean() < 115
    assert 1 < drawn.std() < 15


def test_a_normalised_input_gets_the_values_that_it_expects() -> None:
    layer = layers.Normalization(mean=[100.0, -40.0], variance=[25.0, 9.0])
    made = of(model_of(layer, (2,)))
    normal = np.asarray(layer(made.prepared[0][: made.ordinary]))
    assert np.abs(normal).max() < 4


def test_pictures_among_several_inputs_are_in_the_range_of_bytes() -> None:
    a, b = keras.Input((16, 16, 3), name="a"), keras.Input((16, 16, 3), name="b")
    rescaled = layers.Rescaling(1 / 127.5, offset=-1)
    made = of(keras.Model([a, b], [rescaled(a), layers.Conv2D(2, 3)(b)]))
    for given in made.raw.values():
        assert (given.min(), given.max()) == (0, 255)
        assert given[: made.ordinary].std() > 20
    assert (made.raw["a"][0] != made.raw["b"][0]).any()


def test_bytes_reach_both_ends() -> None:
    (given,) = of(model_of(layers.Rescaling(1 / 255), (9,), dtype="uint8")).raw.values()
    assert (given.dtype, given.min(), given.max()) == (np.uint8, 0, 255)


def test_many_hard_samples_are_joined() -> None:
    inputs = [keras.Input((7, 4), name=f"in_{i}") for i in range(5)]
    made = of(keras.Model(inputs, layers.Add()([layers.Masking()(x) for x in inputs])))
    assert made.count - made.ordinary < 16
    for given in made.raw.values():
        assert kinds_of((given != 0).any(axis=-1)) == ALL_KINDS


def test_inputs_are_probed_in_another_order_and_batch() -> None:
    made = of(attention(), batch=None)
    assert [probe.name for probe in made.probes] == [
        "batch 1",
        "batch 3",
        "inputs in reverse order",
    ]
    assert list(made.probes[2].raw) == ["mask", "x"]
    assert [array.shape for array in made.probes[2].prepared] == [(1, 7, 4), (1, 7)]


def pair(join: Any) -> keras.Model:
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    return keras.Model([a, b], join([a, b]))


@pytest.mark.parametrize(
    ("join", "wanted"),
    [
        (layers.Attention(), [(32, 32), (17, 23), (1, 1)]),
        (layers.Add(), [(32, 32), (17, 17), (1, 1)]),
        (lambda x: layers.Conv1D(2, 3)(layers.Add()(x)), [(32, 32), (17, 17), (5, 5)]),
    ],
)
def test_open_axes_differ_where_keras_allows_it(join: Any, wanted: Any) -> None:
    made = of(pair(join))
    runs = [made.prepared, *(one.prepared for one in made.probes if "open" in one.name)]
    assert [tuple(array.shape[1] for array in run) for run in runs] == wanted


def test_the_same_seed_gives_the_same_samples() -> None:
    first, again = (of(pair(layers.Attention())) for _ in range(2))
    for one, other in zip(first.prepared, again.prepared, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [probe.name for probe in first.probes] == [probe.name for probe in again.probes]

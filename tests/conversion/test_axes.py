"""Open axes of inputs have names of their own, and inputs may differ in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import assert_near, keras_answers, normal, onnx_answers, randomise

from kexport import convert, export, runtime
from kexport.conversion import input_specs
from kexport.errors import UnsupportedModel


def shapes(*inputs: tuple[str, tuple[int | None, ...]]) -> list[tuple[int | str, ...]]:
    drawn = [keras.Input(shape, name=name) for name, shape in inputs]
    outputs = [layers.Identity()(x) for x in drawn]
    return [spec.shape for spec in input_specs(keras.Model(drawn, outputs))]


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((None, None, 3), ("height", "width", 3)),
        ((20, None, 3), (20, "width", 3)),
        ((3, None, None), (3, "height", "width")),
        ((None, None, None, 2), ("depth", "height", "width", 2)),
        ((1, 4, None, None), (1, 4, "height", "width")),
        ((None, 8), ("time", 8)),
        ((8, None), (8, "time")),
        ((None, None), ("time", "dim_2")),
        ((None,), ("time",)),
        ((None, None, None), ("height", "width", "dim_3")),
        ((None, 2, 3, 4, None), ("dim_1", 2, 3, 4, "dim_5")),
        ((4,), (4,)),
    ],
)
def test_names_of_one_input(shape: Any, named: Any) -> None:
    assert shapes(("x", shape)) == [("batch", *named)]


def test_names_are_prefixed_where_two_inputs_have_them() -> None:
    given = (("q", (None, 4)), ("v", (None, 4)), ("picture", (None, 20, 3)))
    wanted = [("batch", "q_time", 4), ("batch", "v_time", 4), ("batch", "height", 20, 3)]
    assert shapes(*given) == wanted


def test_a_prefixed_name_that_another_axis_has() -> None:
    given = (("a", (None, None)), ("a_dim", (None, 2, 3, 4, None)), ("a_time", (None, None)))
    names = [size for shape in shapes(*given) for size in shape if isinstance(size, str)]
    assert len(set(names) - {"batch"}) == len([name for name in names if name != "batch"])


def test_a_fixed_batch_stays() -> None:
    x = keras.Input(batch_shape=(2, None, 4), name="x")
    (spec,) = input_specs(keras.Model(x, layers.ReLU()(x)))
    assert spec.shape == (2, "time", 4)


def siamese() -> keras.Model:
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    read = [layers.GlobalMaxPooling1D()(layers.ReLU()(layers.Dense(4)(x))) for x in (a, b)]
    return randomise(keras.Model([a, b], layers.Add()(read)))


def attention() -> keras.Model:
    query, value = keras.Input((None, 4), name="query"), keras.Input((None, 4), name="value")
    y = layers.MultiHeadAttention(2, 3)(query, value)
    return randomise(keras.Model([query, value], layers.Dense(2)(y)))


def translation() -> keras.Model:
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embed = layers.Embedding(9, 4, mask_zero=True)
    y, state = layers.GRU(4, return_sequences=True, return_state=True)(embed(source))
    z = layers.GRU(4, return_sequences=True)(embed(target), initial_state=state)
    return randomise(keras.Model([source, target], layers.Attention()([z, y])))


def pictures() -> keras.Model:
    a, b = keras.Input((None, None, 3), name="a"), keras.Input((None, None, 3), name="b")
    read = [layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x)) for x in (a, b)]
    return randomise(keras.Model([a, b], layers.Concatenate()(read)))


def draw(name: str, length: int, seed: int) -> Any:
    if name == "translation":
        ids = np.random.default_rng(seed).integers(1, 9, (2, length)).astype(np.int32)
        ids[0, length // 2 :] = 0
        return ids
    return normal(2, length, *((length + 3, 3) if name == "pictures" else (4,)), seed=seed)


BUILDS = {"siamese": siamese, "attention": attention, "translation": translation}
BUILDS["pictures"] = pictures


@pytest.mark.parametrize("name", BUILDS)
def test_inputs_of_unequal_lengths(name: str) -> None:
    model = BUILDS[name]()
    proto = convert(model)
    for lengths in ((5, 12), (50, 3), (4, 4)):
        inputs = [draw(name, length, seed) for seed, length in enumerate(lengths)]
        wanted = keras_answers(model, inputs)
        assert_near(onnx_answers(proto, inputs, optimise=True), wanted)


@pytest.mark.slow
def test_a_bundle_takes_inputs_of_unequal_lengths(tmp_path: Path) -> None:
    model = siamese()
    bundle = export(model, "cpu-fp32", output=tmp_path / "b", batch="dynamic")
    session = runtime.load(bundle.path)
    for lengths in ((3, 50), (50, 3)):
        a, b = [draw("siamese", length, seed) for seed, length in enumerate(lengths)]
        (found,) = session.run({"a": a, "b": b}).values()
        assert_near([found], keras_answers(model, [a, b]))


def test_ragged_inputs_are_refused() -> None:
    x = keras.Input((None, 4), ragged=True, name="words")
    model = keras.Model(x, layers.Identity()(x))
    with pytest.raises(UnsupportedModel, match="'words' is ragged"):
        input_specs(model)


def test_sparse_inputs_are_dense() -> None:
    x = keras.Input((6,), sparse=True)
    model = randomise(keras.Model(x, layers.Dense(3)(x)))
    given = np.eye(6, dtype=np.float32)
    assert_near(onnx_answers(convert(model), [given]), keras_answers(model, [given]))

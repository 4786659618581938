"""Every kind of Keras model, exported whole: keras.io/api/models/model and beyond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cpp_verifiers import Export
from keras import layers
from support import normal, randomise

from kexport import runtime
from kexport.api import Bundle, export
from kexport.errors import UnsupportedModel
from kexport.options.application import Recipe
from kexport.runtime.errors import BadInput
from kexport.source.synthetic_images import draw_images


class WithTraining(keras.Model):
    """The Model class' own example of a `training` argument."""

    def __init__(self) -> None:
        super().__init__()
        self.dense1 = layers.Dense(32, activation="relu")
        self.dense2 = layers.Dense(5, activation="softmax")
        self.dropout = layers.Dropout(0.5)

    def call(self, inputs: Any, training: bool = False) -> Any:
        x = self.dropout(self.dense1(inputs), training=training)
        return self.dense2(x)


class OfAStructure(keras.Model):
    """Takes and gives whatever structure it is called on."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(3), layers.Dense(3)

    def call(self, inputs: Any, training: Any = None) -> Any:
        a, b = inputs.values() if isinstance(inputs, dict) else inputs
        total = self.left(a) + self.right(b)
        return {"total": total, "left": self.left(a)} if isinstance(inputs, dict) else (total, a)


def called(model: keras.Model, given: Any) -> keras.Model:
    model(given)
    return randomise(model)


def functional() -> keras.Model:
    inputs = keras.Input((37,), name="sample")
    x = layers.Dense(32, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def three_deep() -> keras.Model:
    x = keras.Input((8, 8, 3))
    inner = keras.Model(x, layers.Conv2D(4, 3, padding="same", name="conv")(x), name="inner")
    middle = keras.Sequential([keras.Input((8, 8, 3)), inner, layers.ReLU()], name="middle")
    y = keras.Input((8, 8, 3))
    return keras.Model(y, layers.GlobalAveragePooling2D()(middle(y)))


def shared_between_branches() -> keras.Model:
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    shared = keras.Sequential([layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()])
    return keras.Model([left, right], layers.Subtract()([shared(left), shared(right)]))


def structured(kind: type) -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((8, 8, 3), name="b")
    p = layers.Dense(2, name="p")(a)
    q = layers.Conv2D(2, 3, name="q")(b)
    if kind is dict:
        return keras.Model({"a": a, "b": b}, {"first": p, "second": q})
    return keras.Model(kind((a, b)), kind((p, q)))


def one_layer_twice() -> keras.Model:
    x = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same")
    return keras.Model(x, layers.GlobalMaxPooling2D()(conv(conv(x))))


def operations() -> keras.Model:
    x = keras.Input((16, 16, 3))
    y = keras.ops.image.resize(x, (8, 8))
    y = keras.ops.mean(keras.ops.relu(y - 100.0), axis=(1, 2))
    return keras.Model(x, keras.ops.stack([y, keras.ops.log(y + 1.0)], axis=1))


def with_augmentation() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((20, 20, 3)),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.1),
            layers.Resizing(16, 16),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3]),
            layers.Conv2D(4, 3),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


A, B = normal(1, 4), normal(1, 5)
CASES: dict[str, tuple[Callable[[], keras.Model], list[str], list[str]]] = {
    "functional": (functional, ["sample"], ["probabilities"]),
    "sequential": (with_augmentation, ["image"], ["probabilities"]),
    "training argument": (
        lambda: called(WithTraining(), normal(1, 37)),
        ["input"],
        ["probabilities"],
    ),
    "three deep": (three_deep, ["image"], ["global_average_pooling2d"]),
    "shared": (shared_between_branches, ["left", "right"], ["subtract"]),
    "list": (lambda: structured(list), ["a", "b"], ["p", "q"]),
    "tuple": (lambda: structured(tuple), ["a", "b"], ["p", "q"]),
    "dict": (lambda: structured(dict), ["a", "b"], ["first", "second"]),
    "subclassed on a dict": (
        lambda: called(OfAStructure(), {"x": A, "y": B}),
        ["x", "y"],
        ["left", "total"],
    ),
    "subclassed on a list": (
        lambda: called(OfAStructure(), [A, B]),
        ["input_0", "input_1"],
        ["output_0", "output_1"],
    ),
    "one layer twice": (one_layer_twice, ["image"], ["global_max_pooling2d"]),
    "operations": (operations, ["image"], ["stack"]),
}


def held_to_keras(bundle: Bundle, model: keras.Model) -> None:
    """Check the parity in the manifest, and compare again on other inputs."""
    assert all(row["error"] <= 1e-4 for row in bundle.manifest["parity"]["outputs"].values())
    session = runtime.load(bundle.path)
    feeds = {
        spec.name: draw_images(1, *spec.shape[1:], seed=9)
        if spec.color
        else normal(*spec.shape, seed=9)
        for spec in session.manifest.inputs
    }
    given = session.run(feeds)
    flat = [array.astype(np.float32) for array in feeds.values()]
    single = isinstance(getattr(model, "_inputs_struct", None), keras.KerasTensor)
    nested: Any = flat[0] if len(flat) == 1 or single else flat
    if isinstance(getattr(model, "_inputs_struct", None), dict) or "x" in feeds:
        nested = dict(zip(feeds, flat, strict=True))
    wanted = keras.tree.flatten(model(nested, training=False))
    for (name, array), reference in zip(given.items(), wanted, strict=True):
        expected = np.asarray(reference)
        np.testing.assert_allclose(array, expected, atol=1e-4 * expected.std(), err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_model_of_this_kind(export_and_verify: Export, case: str, tmp_path: Path) -> None:
    build, inputs, outputs = CASES[case]
    keras.utils.clear_session()
    model = randomise(build())
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none")
    )
    assert [entry["name"] for entry in bundle.manifest["inputs"]] == inputs
    assert [entry["name"] for entry in bundle.manifest["outputs"]] == outputs
    held_to_keras(bundle, model)


def cut_from(size: int) -> dict[str, keras.Model]:
    """Build models between intermediate tensors, as in the documentation of keras.Model."""
    inputs = keras.Input((size, size, 3))
    processed = layers.RandomCrop(width=32, height=32)(inputs)
    conv = layers.Conv2D(filters=8, kernel_size=3)(processed)
    feature = layers.Dense(10)(layers.GlobalAveragePooling2D()(conv))
    return {
        "full_model": randomise(keras.Model(inputs, feature)),
        "backbone": keras.Model(processed, conv),
        "activations": keras.Model(conv, feature),
    }


@pytest.mark.parametrize(
    ("part", "takes", "shape"),
    [
        ("full_model", "image", [1, 40, 40, 3]),
        ("backbone", "image", [1, 32, 32, 3]),
        ("activations", "input", [1, 30, 30, 8]),
    ],
)
def test_models_between_intermediate_tensors(
    export_and_verify: Export, part: str, takes: str, shape: list[int], tmp_path: Path
) -> None:
    model = cut_from(40)[part]
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none")
    )
    (entry,) = bundle.manifest["inputs"]
    assert (entry["name"], entry["shape"]) == (takes, shape)
    held_to_keras(bundle, model)


@pytest.mark.parametrize("batch", [1, 3, 8, "dynamic"])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_any_number_of_images_through_any_batch(
    export_and_verify: Export, batch: Any, count: int, tmp_path: Path
) -> None:
    """A fixed batch takes multiples of itself; `fill` repeats images where there are too few."""
    model = randomise(with_augmentation())
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", batch=batch, recipe=Recipe(preprocess="none")
    )
    session = runtime.load(bundle.path)
    images = draw_images(count, 20, 20, seed=5)
    if batch != "dynamic" and count % batch:
        with pytest.raises(BadInput, match=f"got {count} samples, but the model takes {batch}"):
            session.run(images)
    given = session.run(images, fill=True)["probabilities"]
    wanted = np.asarray(model(images.astype(np.float32), training=False))
    np.testing.assert_allclose(given, wanted, atol=1e-6)


class TwoArguments(keras.Model):
    def call(self, x: Any, y: Any) -> Any:
        return x + y


def never_called() -> keras.Model:
    return WithTraining()


def two_arguments() -> keras.Model:
    model = TwoArguments(name="pair")
    model(A, A)
    return model


def words() -> keras.Model:
    x = keras.Input((1,), dtype="string")
    return keras.Model(x, layers.StringLookup(vocabulary=["a", "b"], name="words")(x))


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (never_called, "has no known inputs: it has not been built"),
        (two_arguments, "'pair' takes its inputs as 2 arguments: x, y"),
        (words, r"layer 'words' \(StringLookup\) has no ONNX form"),
    ],
)
def test_an_unsupported_model_is_refused_and_nothing_written(
    build: Callable[[], keras.Model], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModel, match=told) as caught:
        export(build(), "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none"))
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        (A, "the model has 2 inputs, and got one value"),
        ({"a": A}, "input 'b' is missing"),
        ({"a": A, "b": normal(1, 8, 8, 3), "c": A}, "no input named 'c'"),
        ({"a": B, "b": normal(1, 8, 8, 3)}, "input 'a' takes"),
    ],
)
def test_inputs_that_do_not_fit_the_bundle(
    export_and_verify: Export, feeds: Any, told: str, tmp_path: Path
) -> None:
    model, recipe = randomise(structured(dict)), Recipe(preprocess="raw")
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=recipe)
    with pytest.raises(BadInput, match=told):
        runtime.load(bundle.path).run(feeds)

"""docs/layers.md agrees with the rules, and is right about each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from layer_examples import EXAMPLES
from support import assert_converts, module_at

from kexport.conversion import convert, convert_model
from kexport.conversion.unsupported import REFUSED
from kexport.errors import UnsupportedModel

LIST = module_at(Path(__file__).resolve().parents[2] / "docs" / "make_layers.py")
NAMES = list(LIST.classes())
ELSEWHERE = {"FlaxLayer", "JaxLayer", "TorchModuleWrapper"}
"""Layers that cannot even be made where Keras runs on TensorFlow alone."""


def test_docs_layers_is_up_to_date() -> None:
    written = LIST.PAGE.read_text(encoding="utf-8")
    version = ".".join(keras.__version__.split(".")[:2])
    if f"Keras {version} " not in written:
        pytest.skip("the page is of another Keras")
    assert written == LIST.page(), "run python docs/make_layers.py"


def test_every_class_has_an_example_or_a_reason() -> None:
    if set(NAMES) - set(EXAMPLES) - set(REFUSED):
        pytest.skip("this Keras has classes that the page does not know")
    assert not set(EXAMPLES) & set(REFUSED)


def test_nine_of_ten_classes_convert() -> None:
    assert sum(LIST.road(name) != "refused" for name in NAMES) >= 0.9 * len(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if LIST.road(name) != "refused"])
def test_each_class_is_converted_as_the_page_says(name: str) -> None:
    example = EXAMPLES[name]
    converted = assert_converts(example.model(), *example.inputs(), tolerance=1e-4)
    assert bool(converted.traced) == (LIST.road(name) == "tf2onnx")


def of(layer: Any, *shapes: tuple[int, ...], dtype: str) -> keras.Model:
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    return keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))


REFUSALS = {
    "HashedCrossing": lambda _: of(layers.HashedCrossing(5), (1,), (1,), dtype="int64"),
    "Hashing": lambda _: of(layers.Hashing(5), (3,), dtype="int64"),
    "MelSpectrogram": lambda _: of(layers.MelSpectrogram(), (4000,), dtype="float32"),
    "StringLookup": lambda _: of(layers.StringLookup(vocabulary=["a"]), (3,), dtype="string"),
    "TextVectorization": lambda _: of(
        layers.TextVectorization(vocabulary=["a"]), (1,), dtype="string"
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_classes_are_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=rf"\({name}\) has no ONNX form") as caught:
        convert_model(REFUSALS[name](tmp_path))
    assert REFUSED[name] in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_refused_classes_cannot_be_traced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table states limits of tf2onnx and of ONNX, and none of kexport's own making."""
    monkeypatch.setattr(convert, "refuse_class", lambda layer: None)
    with pytest.raises(UnsupportedModel):
        convert_model(REFUSALS[name](tmp_path))


def test_equalization_cannot_be_in_a_functional_model() -> None:
    x = keras.Input((6, 5, 3))
    with pytest.raises(ValueError, match="cycle"):
        keras.Model(x, layers.Equalization()(x))
    image = np.full((1, 6, 5, 3), 7, np.float32)
    assert (np.asarray(layers.Equalization()(image, training=False)) == image).all()


def test_every_refusal_is_held_to_its_reason() -> None:
    assert set(REFUSALS) | ELSEWHERE | {"Equalization"} == set(REFUSED)

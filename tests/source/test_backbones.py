"""Backbones are known by the layers of Keras Applications, whole or in part."""

import keras
import pytest
from support import small_classifier

from kexport.source.backbones import MARKS, backbone, modes
from kexport.zoo import ZOO, Application


def built(row: Application) -> keras.Model:
    builder = getattr(keras.applications, row.builder)
    size = max(row.min_size, 32)
    return builder(weights=None, include_top=False, input_shape=(size, size, 3))


def first_of_each_module() -> list[Application]:
    rows = {row.module: row for row in reversed(ZOO.values())}
    return list(rows.values())


def test_every_module_has_marks() -> None:
    assert set(MARKS) == {row.module for row in ZOO.values()}


@pytest.mark.slow
@pytest.mark.parametrize("row", first_of_each_module(), ids=lambda row: row.name)
def test_every_module_is_known_by_its_layers_and_by_no_others(row: Application) -> None:
    assert backbone(built(row)) == row.module


@pytest.mark.slow
@pytest.mark.parametrize("row", ZOO.values(), ids=lambda row: row.name)
@pytest.mark.zoo
def test_every_application_is_known(row: Application) -> None:
    assert backbone(built(row)) == row.module


def test_a_backbone_inside_another_model_is_known() -> None:
    inner = built(ZOO["mobilenet"])
    x = keras.Input((32, 32, 3))
    y = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(inner(x)))
    assert backbone(keras.Model(x, y)) == "mobilenet"
    early = keras.Model(inner.input, inner.get_layer("conv_pw_3").output)
    assert backbone(early) == "mobilenet"


def test_other_models_are_not() -> None:
    assert backbone(small_classifier()) is None


def test_modes_of_a_module() -> None:
    assert list(modes("mobilenet_v2")) == ["tf"]
    assert list(modes("resnet")) == ["caffe"]
    assert list(modes("densenet")) == ["torch"]
    assert {
        mode: [row.name for row in rows] for mode, rows in modes("efficientnet_v2").items()
    } == {
        "torch": [f"efficientnet_v2_b{i}" for i in range(4)],
        "tf": [f"efficientnet_v2_{i}" for i in "sml"],
    }

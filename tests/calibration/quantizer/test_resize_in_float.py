"""A resize in the graph stays in float: the range of its products depends on the image's size."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers
from phases import prepare_int8, simplify
from support import randomise

from kexport import targets
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.calibration.quantizer.tensorrt import TENSORRT_EXPLICIT
from kexport.conversion import convert_model
from kexport.graph.roles import role_of
from kexport.options.image_input import ImageInput
from kexport.passes import pipeline


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("name", "scheme"),
    [("cpu-int8", ONNXRUNTIME_CPU), ("jetson-orin-int8", TENSORRT_EXPLICIT)],
)
def test_no_quantizer_is_inside_a_resize(name: str, scheme: Any, resize: Any) -> None:
    x = keras.Input((24, 24, 3))
    y = layers.Conv2D(32, 3, activation="relu")(layers.Conv2D(32, 3, activation="relu")(x))
    model = randomise(keras.Model(x, layers.GlobalAveragePooling2D()(y)))
    target = targets.find(name)
    simplified = simplify("none", 1, ImageInput(resize=resize))
    passes = (*simplified, *prepare_int8(target.opset, target.rules))
    graph = pipeline.run(convert_model(model).model, passes).model
    placed = scheme.place(graph, frozenset()).nodes
    of_image = {node.name for node in graph.graph if role_of(node) is not None}
    pools = [node for node in graph.graph if node.op_type == "AveragePool"]
    assert [role_of(pool) is not None for pool in pools] == [True]
    assert placed
    assert not placed & of_image

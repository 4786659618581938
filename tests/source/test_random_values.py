"""Random weights do not amplify rounding, and hide no fault."""

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from phases import PREPARE_FLOAT16, lower, simplify, to_float16

from kexport.calibration.statistics.abs_max import observe
from kexport.calibration.statistics.float16_guard import keep_float32
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.runtime.compare import logits_of, spread_error
from kexport.source.random_weights import randomise
from kexport.source.synthetic_images import draw_images

pytestmark = pytest.mark.slow

ROUNDING = 1.2e-2
"""Well below the 2e-2 that parity allows float16."""

SIZE = 96


def _mobilenet():
    return keras.applications.MobileNetV2(weights=None, input_shape=(SIZE, SIZE, 3), classes=50)


def _efficientnet():
    return keras.applications.EfficientNetV2B0(
        weights=None, input_shape=(SIZE, SIZE, 3), classes=50
    )


@pytest.fixture(scope="module", params=[(_mobilenet, "tf"), (_efficientnet, "none")])
def graph(request):
    build, mode = request.param
    model = build()
    shown = draw_images(4, SIZE, SIZE, seed=0)
    given = shown.astype(np.float32) / 127.5 - 1 if mode == "tf" else shown.astype(np.float32)
    randomise(model, 0, given)
    converted = convert_model(model).model
    passes = (*simplify(mode, None), *PREPARE_FLOAT16)
    artifact = pipeline.run(converted, passes)
    return artifact, shown, np.asarray(model(given, training=False))


def _logits(model: ir.Model | onnx.ModelProto, shown):
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return logits_of(session.run(None, {"image": shown})[0])


def test_float16_rounding_stays_small(graph):
    artifact, shown, wanted = graph
    kept = keep_float32(artifact.model, observe(artifact.model, {"image": shown}))
    names = frozenset(node.node for node in kept)
    half = pipeline.continue_with(artifact, to_float16(17, names))
    assert spread_error(_logits(half.model, shown), logits_of(wanted)) < ROUNDING


def test_answers_differ_between_images(graph):
    _, _, wanted = graph
    assert np.std(logits_of(wanted), axis=0).mean() > 1
    assert len(set(wanted.argmax(axis=1))) > 1


def test_swapped_colors_are_detected(graph):
    artifact, shown, wanted = graph
    single = pipeline.continue_with(artifact, lower(20)).model
    assert spread_error(_logits(single, shown), logits_of(wanted)) < 3e-5
    assert spread_error(_logits(single, shown[..., ::-1].copy()), logits_of(wanted)) > 0.1


def test_a_shifted_window_is_detected(graph):
    artifact, shown, wanted = graph
    proto = ir.to_proto(pipeline.continue_with(artifact, lower(20)).model)
    pads = [
        a.ints for n in proto.graph.node for a in n.attribute if a.name == "pads" and any(a.ints)
    ]
    middle = pads[len(pads) // 2]
    middle[:] = (
        [middle[2], middle[3], middle[0], middle[1]]
        if middle[0] != middle[2]
        else [middle[0] - 1, middle[1], middle[2] + 1, middle[3]]
    )
    assert spread_error(_logits(proto, shown), logits_of(wanted)) > 1e-3

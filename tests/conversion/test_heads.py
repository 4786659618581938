"""Heads as models have them in use: masks, boxes that are decoded and suppressed, embeddings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers, ops
from support import Array, assert_converts, far, keras_answers, normal, randomise

import kexport

CLASSES, ANCHORS, KEPT = 3, 2, 6


def u_net() -> keras.Model:
    """Build a U-Net of any size whose answer is a mask of class numbers."""
    image = keras.Input((None, None, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    second = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(second))
    for skip in (second, first):
        y = layers.Conv2DTranspose(skip.shape[-1], 2, strides=2)(y)
        y = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Concatenate()([y, skip]))
    scores = layers.Conv2D(CLASSES, 1)(y)
    return randomise(keras.Model(image, ops.cast(ops.argmax(scores, axis=-1), "uint8")))


def session_of(model: keras.Model) -> Any:
    proto = kexport.convert(model)
    return onnxruntime.InferenceSession(proto.SerializeToString())


def near_keras(session: Any, model: keras.Model, inputs: list[Array]) -> bool:
    names = [x.name for x in session.get_inputs()]
    answers = session.run(None, dict(zip(names, inputs, strict=True)))
    wanted = keras_answers(model, inputs)
    assert all(a.dtype == b.dtype for a, b in zip(answers, wanted, strict=True))
    return all(far(a, b) <= 1e-5 for a, b in zip(answers, wanted, strict=True))


def test_u_net_answers_masks_of_images_of_any_size() -> None:
    model = u_net()
    session, sizes = session_of(model), ((2, 16, 16), (1, 8, 24), (1, 20, 12))
    assert all(near_keras(session, model, [normal(*size, 3)]) for size in sizes)


class Grid(layers.Layer):
    """The corners of anchors on a feature map of any size, [1, height * width * ANCHORS, 4]."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, features: Any) -> Any:
        shape = ops.shape(features)
        rows, columns = (
            (ops.cast(ops.arange(extent), "float32") + 0.5) * self.stride for extent in shape[1:3]
        )
        y, x = ops.meshgrid(rows, columns, indexing="ij")
        centres = ops.reshape(ops.stack([y, x], -1), (-1, 1, 2))
        half = ops.reshape(ops.array([[8.0, 8.0], [4.0, 12.0]]), (1, ANCHORS, 2))
        corners = ops.concatenate([centres - half, centres + half], -1)
        return ops.reshape(corners, (1, -1, 4))

    def compute_output_shape(self, features_shape: Any) -> Any:
        return (1, None, 4)


class Suppression(layers.Layer):
    """tf.image.combined_non_max_suppression of boxes [B, N, 4] and scores [B, N, CLASSES]."""

    def call(self, boxes: Any, scores: Any) -> Any:
        found = tf.image.combined_non_max_suppression(
            boxes[:, :, None], scores, 3, KEPT, 0.5, 0.3, clip_boxes=False
        )
        return {
            "boxes": found.nmsed_boxes,
            "scores": found.nmsed_scores,
            "classes": found.nmsed_classes,
            "number": found.valid_detections,
        }

    def compute_output_shape(self, boxes_shape: Any, scores_shape: Any) -> Any:
        batch = boxes_shape[0]
        return {
            "boxes": (batch, KEPT, 4),
            "scores": (batch, KEPT),
            "classes": (batch, KEPT),
            "number": (batch,),
        }


class Padded(layers.Layer):
    """tf.image.non_max_suppression_padded of whole batches, without regard to classes."""

    def call(self, boxes: Any, scores: Any) -> Any:
        best = ops.max(scores, -1)
        places, number = tf.image.non_max_suppression_padded(
            boxes, best, KEPT, 0.5, 0.3, pad_to_max_output_size=True
        )
        return {"boxes": ops.take_along_axis(boxes, places[..., None], 1), "number": number}

    def compute_output_shape(self, boxes_shape: Any, scores_shape: Any) -> Any:
        return {"boxes": (boxes_shape[0], KEPT, 4), "number": (boxes_shape[0],)}


def retina_net() -> keras.Model:
    """Build two levels that share their heads, anchors of any size, decoding and suppression."""
    image = keras.Input((None, None, 3))
    fine = layers.Conv2D(6, 3, strides=4, padding="same", activation="relu")(image)
    coarse = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(fine)
    score = layers.Conv2D(ANCHORS * CLASSES, 3, padding="same", activation="sigmoid")
    offset = layers.Conv2D(ANCHORS * 4, 3, padding="same")
    boxes, scores = [], []
    for level, stride in ((fine, 4), (coarse, 8)):
        anchors = Grid(stride)(level)
        moved = layers.Reshape((-1, 4))(offset(level))
        centre = (anchors[..., :2] + anchors[..., 2:]) / 2
        size = anchors[..., 2:] - anchors[..., :2]
        centre = moved[..., :2] * 0.1 * size + centre
        half = ops.exp(moved[..., 2:] * 0.2) * size / 2
        boxes.append(ops.concatenate([centre - half, centre + half], -1))
        scores.append(layers.Reshape((-1, CLASSES))(score(level)))
    boxes, scores = layers.Concatenate(axis=1)(boxes), layers.Concatenate(axis=1)(scores)
    return randomise(keras.Model(image, Suppression()(boxes, scores)))


def test_retina_net_of_any_size_decodes_and_suppresses() -> None:
    model = retina_net()
    session, sizes = session_of(model), ((2, 16, 16), (1, 8, 24))
    assert all(near_keras(session, model, [normal(*size, 3)]) for size in sizes)


def candidates(batch: int) -> list[Array]:
    """Return boxes, many of which overlap, and scores of the classes."""
    rng = np.random.default_rng(batch)
    centres, halves = rng.uniform(0.2, 0.8, (batch, 12, 2)), rng.uniform(0.1, 0.2, (batch, 12, 2))
    boxes = np.concatenate([centres - halves, centres + halves], -1)
    return [boxes.astype(np.float32), rng.uniform(0, 1, (batch, 12, CLASSES)).astype(np.float32)]


@pytest.mark.parametrize(
    "layer", [Suppression(), pytest.param(Padded(), marks=pytest.mark.slow)], ids=["each", "padded"]
)
def test_non_max_suppression_of_a_batch(layer: layers.Layer) -> None:
    given = [keras.Input((12, 4)), keras.Input((12, CLASSES))]
    model = keras.Model(given, layer(*given))
    session = session_of(model)
    assert all(near_keras(session, model, candidates(batch)) for batch in (1, 3))


def test_yolo_head_without_suppression_by_classes() -> None:
    """Distances are distributions; a box that a better one covers is dropped, by keras.ops alone.

    This is the fast NMS of D. Bolya et al., "YOLACT" (2019), section 3.
    """
    image = keras.Input((32, 32, 3))
    features = layers.Conv2D(8, 3, strides=8, padding="same", activation="silu")(image)
    spread = layers.Reshape((16, 4, 5))(layers.Conv2D(4 * 5, 1)(features))
    given = layers.Conv2D(CLASSES, 1, activation="sigmoid")(features)
    scores = layers.Reshape((16, CLASSES))(given)
    distance = ops.sum(ops.softmax(spread, -1) * np.arange(5, dtype=np.float32), -1)
    rows, columns = np.meshgrid(np.arange(4) + 0.5, np.arange(4) + 0.5, indexing="ij")
    centre = np.stack([rows, columns], -1).reshape(1, 16, 2).astype(np.float32)
    boxes = ops.concatenate([-distance[..., :2] + centre, distance[..., 2:] + centre], -1) * 8
    best, order = ops.top_k(ops.max(scores, -1), 8)
    boxes = ops.take_along_axis(boxes, order[..., None], 1)
    low = ops.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = ops.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    common = ops.prod(ops.maximum(high - low, 0.0), -1)
    area = ops.prod(boxes[..., 2:] - boxes[..., :2], -1)
    overlap = ops.triu(common / (area[:, :, None] + area[:, None] - common), 1)
    kept = ops.cast(ops.max(overlap, 1) <= 0.5, "float32")
    number = ops.cast(ops.take_along_axis(ops.argmax(scores, -1), order, 1), "uint8")
    model = keras.Model(image, {"boxes": boxes, "scores": best * kept, "classes": number})
    assert_converts(randomise(model), normal(2, 32, 32, 3))


@pytest.mark.parametrize(
    "normalized",
    [
        layers.UnitNormalization(),
        lambda x: ops.normalize(x, axis=-1),
        lambda x: ops.normalize(x, axis=-1, order=1),
        lambda x: x / ops.norm(x, axis=-1, keepdims=True),
        layers.Lambda(lambda x: tf.math.l2_normalize(x, axis=-1)),
    ],
    ids=["UnitNormalization", "ops.normalize", "ops.normalize L1", "ops.norm", "tf.math"],
)
def test_embeddings_are_normalized_in_the_graph(normalized: Any) -> None:
    x = keras.Input((8,))
    model = randomise(keras.Model(x, normalized(layers.Dense(4)(x))))
    assert_converts(model, normal(3, 8))
    converted = assert_converts(model, 1e-3 * normal(3, 8, seed=1))
    assert converted.model.graph.outputs[0].shape[1] == 4


class Resized(layers.Layer):
    """A layer that resizes what it pools before a normalization, as DeepLab's pyramid does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm, self.drop = layers.BatchNormalization(), layers.Dropout(0.5)

    def build(self, shape: Any) -> None:
        self.norm.build(shape)

    def call(self, x: Any) -> Any:
        pooled = ops.mean(x, (1, 2), keepdims=True)
        back = layers.Resizing(4, 5, interpolation="bilinear")(pooled)
        return self.drop(self.norm(x + back))


def test_a_resizing_inside_a_layer_does_not_switch_to_training() -> None:
    """The `training` of Resizing is True by default, and Keras hands it on to later layers."""
    x = keras.Input((4, 5, 3))
    assert_converts(randomise(keras.Model(x, Resized()(x))), normal(2, 4, 5, 3))


class AddFirst(layers.Layer):
    """Adds a weight for each channel, which comes first; Keras makes a BiasAdd of it."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[1], 1, 1), initializer="normal")

    def call(self, x: Any) -> Any:
        return ops.add(ops.sin(x), self.w)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 1)])
def test_a_bias_of_channels_that_come_first(shape: tuple[int, ...]) -> None:
    x = keras.Input(shape)
    assert_converts(randomise(keras.Model(x, AddFirst()(x))), normal(2, *shape))

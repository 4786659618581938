"""Train a network that puts stickers of one grower near each other, also of growers not seen yet.

    python examples/fruit_data.py embed
    python examples/embed/train.py

The code is that of https://keras.io/examples/vision/metric_learning/ in small.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "embed" / "train"
IMG_SIZE = (48, 48)


def get_dataset(folder: Path, **options: object) -> tf.data.Dataset:
    """Return batches of images, 0 to 255, cut to a square and not stretched."""
    return keras.utils.image_dataset_from_directory(
        folder, image_size=IMG_SIZE, crop_to_aspect_ratio=True, shuffle=False, **options
    )


class AnchorPositivePairs(keras.utils.Sequence):
    """Batches of two images of each class."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, num_batches: int):
        super().__init__()
        self.images, self.batches_in_epoch = images, num_batches
        self.of_class = [np.flatnonzero(labels == one) for one in np.unique(labels)]
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return self.batches_in_epoch

    def __getitem__(self, index: int) -> np.ndarray:
        pairs = [self.rng.choice(places, 2, replace=False) for places in self.of_class]
        return self.images[np.array(pairs).T]


class EmbeddingModel(keras.Model):
    """A network whose vectors are close where the class is the same."""

    def train_step(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        """Take each anchor for a query among the positives of all classes."""
        if isinstance(data, tuple):
            data = data[0]
        anchors, positives = data[0], data[1]
        with tf.GradientTape() as tape:
            anchor_embeddings = self(anchors, training=True)
            positive_embeddings = self(positives, training=True)
            similarities = ops.einsum("ae,pe->ap", anchor_embeddings, positive_embeddings) / 0.2
            sparse_labels = ops.arange(ops.shape(similarities)[0])
            loss = self.compute_loss(y=sparse_labels, y_pred=similarities)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}


def get_model() -> keras.Model:
    """Build a small convolutional network with a vector of length 1 at the end."""
    inputs = layers.Input(shape=(*IMG_SIZE, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    x = layers.Conv2D(24, 3, strides=2, activation="relu")(x)
    x = layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    embeddings = layers.Dense(16, activation=None)(x)
    embeddings = layers.UnitNormalization()(embeddings)
    return EmbeddingModel(inputs, embeddings)


def main() -> None:
    """Train for 30 epochs, and save the network."""
    keras.utils.set_random_seed(0)
    batches = list(get_dataset(DATA / "images").as_numpy_iterator())
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    model = get_model()
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(AnchorPositivePairs(images, labels, num_batches=40), epochs=30, verbose=2)
    keras.Model(model.inputs, model.outputs).save(HERE / "growers.keras")


if __name__ == "__main__":
    main()

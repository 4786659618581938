"""Train a network that says which fruit are on a table: each is there or not.

    python examples/fruit_data.py multilabel
    python examples/multilabel/train.py

The pipeline is that of https://www.tensorflow.org/tutorials/load_data/images with tf.data.
"""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "multilabel" / "train"
IMG_SIZE = (48, 48)


def parse_image(filename: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Read an image in the model's size, 0 to 1."""
    image = tf.io.decode_jpeg(tf.io.read_file(filename), channels=3)
    return tf.image.resize(image, IMG_SIZE) / 255.0, labels


def get_dataset(folder: Path) -> tf.data.Dataset:
    """Return batches of images and their labels, [N, 3]."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    files = [str(folder / "images" / row[0]) for row in rows]
    labels = [[float(there) for there in row[1:]] for row in rows]
    return tf.data.Dataset.from_tensor_slices((files, labels)).map(parse_image).batch(32)


def get_model() -> keras.Model:
    """Build a small convolutional network with a sigmoid for each label."""
    return keras.Sequential(
        [
            layers.Input((*IMG_SIZE, 3)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="sigmoid"),
        ]
    )


def main() -> None:
    """Train for 30 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    dataset = get_dataset(DATA).cache()
    held_out, train = dataset.take(6), dataset.skip(6)
    model = get_model()
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["binary_accuracy"])
    model.fit(train.shuffle(32, seed=0), validation_data=held_out, epochs=30, verbose=2)
    model.compile()  # without the optimizer, the file is a third as large
    model.save(HERE / "basket.keras")


if __name__ == "__main__":
    main()

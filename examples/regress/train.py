"""Train a network that reads the dial of a scale, in kg, from grey images.

    python examples/fruit_data.py regress
    python examples/regress/train.py

The pipeline is that of https://www.tensorflow.org/tutorials/load_data/images with tf.data.
"""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "regress" / "train"
IMG_SIZE = (48, 48)


def parse_image(filename: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Read a grey image in the model's size, 0 to 1."""
    image = tf.io.decode_jpeg(tf.io.read_file(filename), channels=1)
    return tf.image.resize(image, IMG_SIZE) / 255.0, weight


def get_dataset(folder: Path) -> tf.data.Dataset:
    """Return batches of images and weights in kg."""
    with (folder / "weights.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    files = [str(folder / "images" / name) for name, _ in rows]
    weights = [float(weight) for _, weight in rows]
    return tf.data.Dataset.from_tensor_slices((files, weights)).map(parse_image).batch(32)


def get_model() -> keras.Model:
    """Build a small convolutional network that gives one number."""
    return keras.Sequential(
        [
            layers.Input((*IMG_SIZE, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, name="weight"),
        ]
    )


def main() -> None:
    """Train for 60 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    dataset = get_dataset(DATA).cache()
    held_out, train = dataset.take(6), dataset.skip(6)
    model = get_model()
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.fit(train.shuffle(32, seed=0), validation_data=held_out, epochs=60, verbose=2)
    model.compile()  # without the optimizer, the file is a third as large
    model.save(HERE / "scale.keras")


if __name__ == "__main__":
    main()

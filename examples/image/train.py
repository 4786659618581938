"""Train a convolutional autoencoder that takes the noise out of photos.

    python examples/fruit_data.py image
    python examples/image/train.py

The code is that of https://keras.io/examples/vision/autoencoder/ on image files.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "image" / "train"
IMG_SIZE = (48, 48)


def get_dataset(folder: Path) -> tf.data.Dataset:
    """Return batches of noisy and of clean images, 0 to 1."""
    noisy, clean = (
        keras.utils.image_dataset_from_directory(
            folder / name, label_mode=None, image_size=IMG_SIZE, shuffle=False
        ).map(lambda image: image / 255.0)
        for name in ("noisy", "clean")
    )
    return tf.data.Dataset.zip((noisy, clean))


def get_model() -> keras.Model:
    """Build an encoder of two poolings, and a decoder that doubles the size twice."""
    inputs = layers.Input(shape=(*IMG_SIZE, 3))
    x = layers.Conv2D(24, 3, activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(24, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2DTranspose(24, 3, strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2DTranspose(24, 3, strides=2, activation="relu", padding="same")(x)
    outputs = layers.Conv2D(3, 3, activation="sigmoid", padding="same")(x)
    return keras.Model(inputs, outputs)


def main() -> None:
    """Train for 25 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    dataset = get_dataset(DATA).cache()
    held_out, train = dataset.take(6), dataset.skip(6)
    model = get_model()
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    model.fit(train.shuffle(32, seed=0), validation_data=held_out, epochs=25, verbose=2)
    model.compile()  # without the optimizer, the file is a third as large
    model.save(HERE / "denoise.keras")


if __name__ == "__main__":
    main()

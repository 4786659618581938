"""Train a small Xception-like network to tell good apples from rotten ones.

    python examples/fruit_data.py binary
    python examples/binary/train.py

The code is that of https://keras.io/examples/vision/image_classification_from_scratch/ in small.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "binary" / "train"
IMG_SIZE = (48, 48)


def get_dataset(folder: Path, **options: object) -> tf.data.Dataset:
    """Return batches of images, 0 to 255, and 0 for good and 1 for rotten."""
    return keras.utils.image_dataset_from_directory(
        folder, seed=1337, image_size=IMG_SIZE, batch_size=32, **options
    )


def get_model() -> keras.Model:
    """Build separable convolutions with residuals, and one number at the end."""
    inputs = keras.Input(shape=(*IMG_SIZE, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(16, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x
    for filters in (24, 32):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x
    x = layers.SeparableConv2D(48, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.25)(x)
    outputs = layers.Dense(1, activation=None)(x)
    return keras.Model(inputs, outputs)


def main() -> None:
    """Train for 25 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    train_ds = get_dataset(DATA, validation_split=0.2, subset="training")
    val_ds = get_dataset(DATA, validation_split=0.2, subset="validation")
    model = get_model()
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="acc")],
    )
    train_ds, val_ds = train_ds.cache().shuffle(32), val_ds.cache()
    model.fit(train_ds, validation_data=val_ds, epochs=25, verbose=2)
    keras.Model(model.inputs, model.outputs).save(HERE / "rotten.keras")  # without the optimizer


if __name__ == "__main__":
    main()

"""Train a classifier of apples, bananas and pears.

    python examples/fruit_data.py classify
    python examples/classify/train.py

The code is that of https://www.tensorflow.org/tutorials/images/classification in small.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "classify" / "train"
IMG_SIZE = (48, 48)


def get_dataset(folder: Path, **options: object) -> tf.data.Dataset:
    """Return batches of images, 0 to 255, and the numbers of their classes."""
    return keras.utils.image_dataset_from_directory(
        folder, seed=123, image_size=IMG_SIZE, batch_size=32, **options
    )


def get_model(num_classes: int = 3) -> keras.Model:
    """Build a small convolutional network, with augmentation and scaling inside."""
    data_augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal", input_shape=(*IMG_SIZE, 3)),
            layers.RandomRotation(0.05),
            layers.RandomZoom(0.1),
        ]
    )
    return keras.Sequential(
        [
            data_augmentation,
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(40, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(40, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.2),
            layers.Dense(num_classes, name="outputs"),
        ]
    )


def main() -> None:
    """Train for 10 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    train_ds = get_dataset(DATA, validation_split=0.2, subset="training")
    val_ds = get_dataset(DATA, validation_split=0.2, subset="validation")
    model = get_model(len(train_ds.class_names))
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train_ds, val_ds = train_ds.cache().shuffle(32), val_ds.cache()
    model.fit(train_ds, validation_data=val_ds, epochs=10, verbose=2)
    model.compile()  # without the optimizer, the file is a third as large
    model.save(HERE / "kinds.keras")


if __name__ == "__main__":
    main()

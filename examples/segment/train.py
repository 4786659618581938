"""Train a small U-Net to tell apple, banana, pear and table apart, pixel by pixel.

    python examples/fruit_data.py segment
    python examples/segment/train.py

The code is that of https://keras.io/examples/vision/oxford_pets_image_segmentation/ in small.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "segment" / "train"
IMG_SIZE = (48, 48)
NUM_CLASSES = 4


def load_img_masks(input_img_path: tf.Tensor, target_img_path: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Read an image and its mask, both in the model's size."""
    input_img = tf.io.read_file(input_img_path)
    input_img = tf.io.decode_jpeg(input_img, channels=3)
    input_img = tf.image.resize(input_img, IMG_SIZE)
    target_img = tf.io.read_file(target_img_path)
    target_img = tf.io.decode_png(target_img, channels=1)
    target_img = tf.image.resize(target_img, IMG_SIZE, method="nearest")
    return input_img, target_img


def get_dataset(folder: Path, batch_size: int = 32) -> tf.data.Dataset:
    """Return batches of images, 0 to 255, and masks."""
    images = sorted(str(path) for path in (folder / "images").glob("*.jpg"))
    masks = sorted(str(path) for path in (folder / "masks").glob("*.png"))
    dataset = tf.data.Dataset.from_tensor_slices((images, masks))
    return dataset.map(load_img_masks, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)


def get_model() -> keras.Model:
    """Build a U-Net-like model of separable convolutions, with residuals."""
    inputs = keras.Input(shape=(*IMG_SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    for filters in (16, 24):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous)
        x = layers.add([x, residual])
        previous = x
    for filters in (24, 16, 8):
        x = layers.Activation("relu")(x)
        x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        x = layers.add([x, residual])
        previous = x
    outputs = layers.Conv2D(NUM_CLASSES, 3, activation="softmax", padding="same")(x)
    return keras.Model(inputs, outputs)


def main() -> None:
    """Train for 25 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    dataset = get_dataset(DATA).cache()
    held_out, train = dataset.take(6), dataset.skip(6)
    model = get_model()
    model.summary()
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss="sparse_categorical_crossentropy",
        metrics=[keras.metrics.MeanIoU(NUM_CLASSES, sparse_y_pred=False)],
    )
    model.fit(train.shuffle(32, seed=0), validation_data=held_out, epochs=25, verbose=2)
    keras.Model(model.inputs, model.outputs).save(HERE / "fruit.keras")  # without the optimizer


if __name__ == "__main__":
    main()

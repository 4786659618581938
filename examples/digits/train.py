"""Training of the small digit classifier that the demo exports; writes digits.keras.

A MobileNet of width 0.25 on 32x32 images, preprocessed outside the model as its Application does
(mode "tf"). About four minutes on two cores. The demo does not need it: the trained file is part
of the repository.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from digits import SIZE, Digits, split

EPOCHS = 120
BATCH = 64
HERE = Path(__file__).resolve().parent


def batches(train: Digits, seed: int) -> tf.data.Dataset:
    """Return shuffled batches of images, randomly rotated, shifted and zoomed, in -1..1."""
    augment = keras.Sequential(
        [
            keras.layers.RandomRotation(0.04, fill_mode="nearest", seed=seed),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", seed=seed + 1),
            keras.layers.RandomZoom(0.12, fill_mode="nearest", seed=seed + 2),
        ]
    )

    def prepare(images: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        augmented = augment(tf.cast(images, tf.float32), training=True)
        return keras.applications.mobilenet.preprocess_input(augmented), classes

    data = tf.data.Dataset.from_tensor_slices((train.images, train.classes))
    return data.shuffle(len(train.classes), seed=seed).batch(BATCH).map(prepare).prefetch(2)


def accuracy(model: keras.Model, digits: Digits) -> float:
    """Return the top-1 accuracy."""
    inputs = keras.applications.mobilenet.preprocess_input(digits.images.astype(np.float32))
    predicted = np.argmax(model.predict(inputs, verbose=0), axis=-1)
    return float(np.mean(predicted == digits.classes))


def main() -> None:
    """Train on 1297 digits, report the accuracy on the other 500, save without the optimizer."""
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    train, held_out = split()
    model = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3), alpha=0.25, weights=None, classes=10, name="digits"
    )
    steps = EPOCHS * -(-len(train.classes) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=4e-3, warmup_steps=200)
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(batches(train, seed=0), epochs=EPOCHS, verbose=2)
    print(f"held-out accuracy {accuracy(model, held_out):.1%} on {len(held_out.classes)} images")
    keras.Model(model.inputs, model.outputs, name="digits").save(HERE / "digits.keras")


if __name__ == "__main__":
    main()

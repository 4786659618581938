"""Train an Application at 32 x 32 on digits, for the benchmark of INT8.

python bench/train_digits.py MODEL FOLDER [--epochs N]

writes FOLDER/MODEL.keras, in some ten minutes on one core. The images are shifted, turned and
zoomed anew in every epoch, labels are smoothed, and at the end the statistics of the batch
normalisations are taken over the whole training set, with the weights as they are then: the running
averages of training are of weights that are gone, and of images that were turned.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from process import answer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "digits"))

BATCH, RATE, FROZEN_RATE, WARMUP, DECAY, SMOOTHING = 32, 1e-3, 2e-4, 100, 0.05, 0.1
SMALL = {"mobilenet": {"alpha": 0.5}}
"""Arguments of the builders whose full width is too large for digits."""

EPOCHS = {"mobilenet": 60, "mobilenet_v2": 30, "efficientnet_b0": 20, "resnet50_v2": 12}
"""As many as the time allows; 20 for models that are not listed."""

FROZEN = {"efficientnet_b0": 8}
"""Further epochs in which batch normalisations keep the statistics that were taken, as images
meet them later. Without them the gates of EfficientNetB0 send some images' values far beyond
those of all others, which the statistics of a batch hide in training."""

MOMENTUM = 0.9
"""Momentum of the batch normalisations: MobileNetV2's own 0.999 needs thousands of steps."""

PARTS = 5
"""The number of batches of the training set for the statistics."""


def augmented(pictures: Any) -> Any:
    """Yield the images of each epoch: shifted, rotated and zoomed at random."""
    change = keras.Sequential(
        [
            keras.layers.RandomTranslation(0.1, 0.1, "nearest", seed=1),
            keras.layers.RandomRotation(0.04, "nearest", seed=2),
            keras.layers.RandomZoom(0.1, 0.1, "nearest", seed=3),
        ]
    )
    while True:
        changed = change(pictures.astype(np.float32), training=True)
        yield np.rint(keras.ops.convert_to_numpy(changed)).astype(np.uint8)


def learn(
    model: keras.Model, epochs: int, inputs: Any, classes: Any, highest: float, warmup: int
) -> None:
    """Train for some epochs, each on the next of `inputs`; the learning rate decays to zero."""
    steps = epochs * -(-len(classes) // BATCH) - warmup
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else highest, max(steps, 1), warmup_target=highest, warmup_steps=warmup
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=DECAY),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING),
        jit_compile=False,
    )
    wanted = keras.utils.to_categorical(classes, 10)
    for _ in range(epochs):
        model.fit(next(inputs), wanted, batch_size=BATCH, verbose=0)


def take_statistics(model: keras.Model, inputs: Any) -> None:
    """Give each batch normalisation the mean and the variance over all `inputs` (Wu and Johnson,
    "Rethinking 'Batch' in BatchNorm", 2021, section 3)."""
    for done, part in enumerate(np.array_split(inputs, PARTS)):
        for norm in norms_of(model):
            norm.momentum = done / (done + 1)
        model(part, training=True)


def norms_of(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def main() -> int:
    """Train, save, and print the accuracy on 500 held-out digits."""
    from digits import SIZE, split

    from kexport import zoo
    from kexport.source.preprocessing import prepare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    application = zoo.find(given.model)
    train, held_out = split()
    model = getattr(keras.applications, application.builder)(
        input_shape=(SIZE, SIZE, 3),
        weights=None,
        classes=10,
        **SMALL.get(application.name, {}),
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # so few epochs learn too little with parts of the model gone
    epochs = given.epochs or EPOCHS.get(application.name, 20)
    inputs = (prepare(each, application.mode) for each in augmented(train.images))
    learn(model, epochs, inputs, train.classes, RATE, WARMUP)
    take_statistics(model, prepare(train.images, application.mode))
    for norm in norms_of(model):
        norm.trainable = False
    learn(model, FROZEN.get(application.name, 0), inputs, train.classes, FROZEN_RATE, 0)
    predicted = model.predict(prepare(held_out.images, application.mode), verbose=0)
    given.folder.mkdir(parents=True, exist_ok=True)
    keras.Model(model.inputs, model.outputs).save(given.folder / f"{application.name}.keras")
    answer({"top1": float(np.mean(predicted.argmax(axis=1) == held_out.classes))})
    return 0


if __name__ == "__main__":
    sys.exit(main())

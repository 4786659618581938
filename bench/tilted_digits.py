"""Fine-tune the MobileNetV2 of digits on 80 classes with narrow margins: digits by tilt.

python bench/tilted_digits.py FOLDER [--epochs N]

reads FOLDER/mobilenet_v2.keras, which bench/train_digits.py wrote, and writes
FOLDER/mobilenet_v2_tilted.keras. Batch normalisations keep the statistics of the former task, as
in Keras' guide to fine-tuning, so that channels are wider and narrower than those of a model
trained from the start.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "digits"))

Array = np.ndarray[Any, Any]

TILTS = (-35.0, -25.0, -15.0, -5.0, 5.0, 15.0, 25.0, 35.0)
"""Degrees; each picture is turned by up to `JITTER` more or less, so that neighbours touch."""

JITTER = 5.0
CLASSES = 10 * len(TILTS)
BATCH, RATE, WARMUP, EPOCHS = 32, 1e-3, 40, 16


@dataclass(frozen=True, slots=True)
class Tilted:
    """Images, uint8 [N, 32, 32, 3] RGB, and their classes, 8 x digit + tilt, int64 [N]."""

    images: Array
    classes: Array


def tilt(images: Array, digits: Array, seed: int) -> Tilted:
    """Turn each image [N, 32, 32, 3] of a digit [N] by a tilt drawn by `seed`, and shift it."""
    from digits import PAPER

    rng = np.random.default_rng(seed)
    tilts = rng.integers(0, len(TILTS), len(images))
    paper = tuple(round(value) for value in PAPER)
    turned = [
        Image.fromarray(image).rotate(
            TILTS[index] + rng.uniform(-JITTER, JITTER),
            Image.Resampling.BILINEAR,
            translate=tuple(rng.uniform(-3, 3, 2)),
            fillcolor=paper,
        )
        for image, index in zip(images, tilts, strict=True)
    ]
    return Tilted(np.stack([np.asarray(each) for each in turned]), digits * len(TILTS) + tilts)


def digits_split() -> tuple[Any, Any]:
    """Return the digits of the example: those for training, and 500 held-out ones."""
    from digits import split

    return split()


def tilted_split(seed: int = 0) -> tuple[Tilted, Tilted]:
    """Return tilted digits of the training set, and of the 500 held-out ones."""
    train, held_out = (tilt(part.images, part.classes, seed) for part in digits_split())
    return train, held_out


def main() -> int:
    """Fine-tune, save, and print the accuracy on 500 held-out digits."""
    import keras
    from digits import SIZE
    from process import answer
    from train_digits import DECAY, SMOOTHING, norms_of

    from kexport.source.preprocessing import prepare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    base = keras.saving.load_model(given.folder / "mobilenet_v2.keras", compile=False)
    model = keras.applications.MobileNetV2(
        input_shape=(SIZE, SIZE, 3), weights=None, classes=CLASSES
    )
    model.set_weights([*base.get_weights()[:-2], *model.get_weights()[-2:]])
    for norm in norms_of(model):
        norm.trainable = False
    train, _ = digits_split()
    steps = given.epochs * -(-len(train.images) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - WARMUP, warmup_target=RATE, warmup_steps=WARMUP
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=DECAY),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING),
        jit_compile=False,
    )
    for epoch in range(given.epochs):
        seen = tilt(train.images, train.classes, seed=epoch + 1)
        wanted = keras.utils.to_categorical(seen.classes, CLASSES)
        model.fit(prepare(seen.images, "tf"), wanted, batch_size=BATCH, verbose=0)
    _, held_out = tilted_split()
    predicted = model.predict(prepare(held_out.images, "tf"), verbose=0)
    keras.Model(model.inputs, model.outputs).save(given.folder / "mobilenet_v2_tilted.keras")
    answer({"top1": float(np.mean(predicted.argmax(axis=1) == held_out.classes))})
    return 0


if __name__ == "__main__":
    sys.exit(main())

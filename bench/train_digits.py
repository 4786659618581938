"""Train an Application at 32 x 32 on digits, for the benchmark of INT8.

python bench/train_digits.py MODEL FOLDER [--epochs N]

writes FOLDER/MODEL.keras, in minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
from process import answer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "digits"))

BATCH, RATE = 64, 1e-3
SMALL = {"mobilenet": {"alpha": 0.5}}
"""Arguments of the builders for which full width would be too much of a small thing."""

EPOCHS = {"mobilenet": 30, "mobilenet_v2": 20, "efficientnet_b0": 12, "resnet50_v2": 5}
"""As many as three minutes of one core are enough for; 10 of what is not here."""

MOMENTUM = 0.9
"""Of the batch normalisations' averages: MobileNetV2's own 0.999 wants thousands of steps."""


def main() -> int:
    """Train, save, and say the accuracy on 500 held-out digits."""
    from digits import SIZE, split

    from kexport import zoo
    from kexport.preprocessing import prepare

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
    epochs = given.epochs or EPOCHS.get(application.name, 10)
    steps = epochs * -(-len(train.classes) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=RATE, warmup_steps=100)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    inputs = prepare(train.pictures, application.mode)
    model.fit(inputs, train.classes, batch_size=BATCH, epochs=epochs, verbose=0)
    predicted = model.predict(prepare(held_out.pictures, application.mode), verbose=0)
    given.folder.mkdir(parents=True, exist_ok=True)
    keras.Model(model.inputs, model.outputs).save(given.folder / f"{application.name}.keras")
    answer({"top1": float(np.mean(predicted.argmax(axis=1) == held_out.classes))})
    return 0


if __name__ == "__main__":
    sys.exit(main())

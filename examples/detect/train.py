"""Train a network that finds the fruit in an image: a box and what is in it.

    python examples/fruit_data.py detect
    python examples/detect/train.py

Bounding-box regression as tutorials write it: `load_img` and NumPy, one network with two heads.
"""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "out" / "detect" / "train"
IMG_SIZE = (48, 48)
CLASSES = ["apple", "banana", "pear"]


def load_data(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, 0 to 1, the numbers of their classes, and boxes relative to the image."""
    images, labels, boxes = [], [], []
    with (folder / "boxes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = folder / "images" / row["file"]
            width, height = keras.utils.load_img(path).size
            image = keras.utils.load_img(path, target_size=IMG_SIZE)
            images.append(keras.utils.img_to_array(image))
            labels.append(CLASSES.index(row["label"]))
            left, top, right, bottom = (
                float(row[edge]) for edge in ("left", "top", "right", "bottom")
            )
            boxes.append([left / width, top / height, right / width, bottom / height])
    return np.array(images) / 255.0, np.array(labels), np.array(boxes)


def get_model() -> keras.Model:
    """Build a small convolutional network with a head for the box and one for the class."""
    inputs = keras.Input((*IMG_SIZE, 3))
    x = inputs
    for filters in (8, 16, 24, 24):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(48, activation="relu")(x)
    box = layers.Dense(4, activation="sigmoid", name="bounding_box")(x)
    label = layers.Dense(len(CLASSES), activation="softmax", name="class_label")(x)
    return keras.Model(inputs, [box, label])


def main() -> None:
    """Train for 40 epochs on four fifths of the data, and save the model."""
    keras.utils.set_random_seed(0)
    images, labels, boxes = load_data(DATA)
    model = get_model()
    model.compile(
        optimizer="adam",
        loss={"bounding_box": "mse", "class_label": "sparse_categorical_crossentropy"},
        loss_weights={"bounding_box": 20.0, "class_label": 1.0},
        metrics={"class_label": "accuracy"},
    )
    answers = {"bounding_box": boxes, "class_label": labels}
    model.fit(images, answers, validation_split=0.2, epochs=40, verbose=2)
    model.compile()  # without the optimizer, the file is a third as large
    model.save(HERE / "finder.keras")


if __name__ == "__main__":
    main()

"""Bundles of each task answer as Keras does, on a JPEG of another size than the model's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cpp_verifiers import Export
from keras import layers
from PIL import Image
from support import healthy

from kexport import ImageInput, Recipe, Task
from kexport.api import export
from kexport.errors import UnsupportedModel
from kexport.runtime import load
from kexport.runtime.image import pixels
from kexport.source.synthetic_images import draw_images

pytestmark = pytest.mark.slow

SIZE = 24


def model_with(*head: Any) -> keras.Model:
    """Build a small model on images of 0 to 255, which it scales itself."""
    image = keras.Input((SIZE, SIZE, 3), name="photo")
    y = layers.Rescaling(1 / 127.5, offset=-1)(image)
    y = layers.Conv2D(8, 3, strides=2, activation="relu", padding="same")(y)
    for layer in head:
        y = layer(y)
    return healthy(keras.Model(image, y, name="small"), "none")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.fromarray(draw_images(1, 61, 83, seed=5)[0]).save(path, quality=95)
    return path


def from_keras(model: keras.Model, bundle: Path, photo: Path) -> np.ndarray:
    """Run Keras on the image as the bundle's runtime resizes it."""
    (source,) = load(bundle).manifest.inputs
    image = pixels(photo, source.size, "RGB", source.resize)[np.newaxis].astype(np.float32)
    return np.asarray(model.predict(image, verbose=0))[0]


def told(bundle: Path, photo: Path, *options: str) -> dict[str, Any]:
    """Return the JSON that the bundle's own program prints for the image."""
    command = [sys.executable, str(bundle / "run.py"), str(photo), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout)["pictures"][0]
    return found


def pooled(units: int, **options: Any) -> keras.Model:
    return model_with(layers.GlobalAveragePooling2D(), layers.Dense(units, name="y", **options))


def test_labels(export_and_verify: Export, tmp_path: Path, photo: Path) -> None:
    model = pooled(4)
    names = ["sun", "cloud", "rain", "snow"]
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", task=Task("multilabel", 0.3), labels=names
    )
    assert [row["name"] for row in bundle.manifest["outputs"]] == ["y"]
    scores = 1 / (1 + np.exp(-from_keras(model, bundle.path, photo)))
    expected = {names[i]: float(scores[i]) for i in np.flatnonzero(scores >= 0.3)}
    found = told(bundle.path, photo)
    assert {one["label"]: one["score"] for one in found["labels"]} == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_yes_or_no(
    export_and_verify: Export, tmp_path: Path, photo: Path, activation: str | None
) -> None:
    """A layer without activation, which formerly gave class 0 with 1.0000, needs two labels."""
    model = pooled(1, activation=activation)
    labels = None if activation else ["good", "scratched"]
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", labels=labels)
    (value,) = from_keras(model, bundle.path, photo)
    score = value if activation else 1 / (1 + np.exp(-value))
    no, yes = labels or ("no", "yes")
    found = told(bundle.path, photo)["decision"]
    assert found["score"] == pytest.approx(float(score), abs=1e-5)
    assert found["label"] == (yes if score >= 0.5 else no)


def test_numbers_keep_the_name_of_their_layer(
    export_and_verify: Export, tmp_path: Path, photo: Path
) -> None:
    model = pooled(4)
    plain = export_and_verify(model, "cpu-fp32", output=tmp_path / "plain")
    assert plain.manifest["task"]["name"] == "raw"
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", task="regress")
    values = from_keras(model, bundle.path, photo)
    found = told(bundle.path, photo)["numbers"]
    assert [one["name"] for one in found] == ["y[0]", "y[1]", "y[2]", "y[3]"]
    assert [one["value"] for one in found] == pytest.approx(values.tolist(), abs=1e-5)
    saved = told(plain.path, photo, "--save", str(tmp_path / "out"))["saved"]
    with np.load(saved) as arrays:
        np.testing.assert_allclose(arrays["y"], values, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_masks(export_and_verify: Export, tmp_path: Path, photo: Path, channels: int) -> None:
    activation = "sigmoid" if channels == 1 else "softmax"
    model = model_with(layers.Conv2D(channels, 1, activation=activation, name="cells"))
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", task="segment")
    cells = from_keras(model, bundle.path, photo)
    classes = cells[..., 0] >= 0.5 if channels == 1 else cells.argmax(axis=-1)
    saved = told(bundle.path, photo, "--save", str(tmp_path / "out"))["saved"]
    mask = np.asarray(Image.open(saved))
    assert mask.shape == (61, 83)
    rows, columns = (
        (2 * np.arange(own) + 1) * cells.shape[axis] // (2 * own)
        for axis, own in enumerate((61, 83))
    )
    np.testing.assert_array_equal(mask, classes[rows][:, columns])
    assert len(np.unique(mask)) > 1


def test_a_mask_of_a_model_that_crops_in_its_graph(
    export_and_verify: Export, tmp_path: Path, photo: Path
) -> None:
    model = model_with(layers.Conv2D(3, 1, name="cells"))
    resized = ImageInput(resize="nearest", crop="center")
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", task="segment", image_input=resized
    )
    told(bundle.path, photo, "--save", str(tmp_path / "out"))
    mask = np.asarray(Image.open(tmp_path / "out" / "photo.png"))
    assert (mask[:, :11] == 255).all()
    assert (mask[:, 72:] == 255).all()
    cut = Image.open(photo).crop((11, 0, 72, 61))
    square = np.asarray(cut.resize((SIZE, SIZE), Image.Resampling.NEAREST), np.float32)
    classes = np.asarray(model.predict(square[np.newaxis], verbose=0))[0].argmax(axis=-1)
    rows = (2 * np.arange(61) + 1) * classes.shape[0] // (2 * 61)
    np.testing.assert_array_equal(mask[:, 11:72], classes[rows][:, rows])


def test_a_mask_with_channels_first_is_refused(tmp_path: Path) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    moved = layers.Permute((3, 1, 2))(image)
    cells = layers.Conv2D(4, 1, data_format="channels_first", name="cells")(moved)
    with pytest.raises(UnsupportedModel, match="layer 'cells' has channels first"):
        export(
            keras.Model(image, cells),
            "cpu-fp32",
            output=tmp_path / "b",
            recipe=Recipe(preprocess="none"),
            task="segment",
        )


def test_the_nearest_of_a_gallery(export_and_verify: Export, tmp_path: Path, photo: Path) -> None:
    model = pooled(6)
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", task="embed")
    (tmp_path / "known").mkdir()
    for number, drawn in enumerate(draw_images(4, 50, 40, seed=8)):
        Image.fromarray(drawn).save(tmp_path / "known" / f"{number}.png")
    vector = from_keras(model, bundle.path, photo).astype(np.float64)
    known = [
        from_keras(model, bundle.path, tmp_path / "known" / f"{number}.png").astype(np.float64)
        for number in range(4)
    ]
    cosines = [float(one @ vector / np.linalg.norm(one) / np.linalg.norm(vector)) for one in known]
    order = np.argsort(-np.array(cosines))
    found = told(bundle.path, photo, "--gallery", str(tmp_path / "known"), "-k", "3")
    assert found["embedding"] == pytest.approx(vector.tolist(), abs=1e-5)
    assert [one["name"] for one in found["neighbours"]] == [f"{i}.png" for i in order[:3]]
    similar = [one["similarity"] for one in found["neighbours"]]
    assert similar == pytest.approx([cosines[i] for i in order[:3]], abs=1e-5)


@pytest.mark.parametrize(("activation", "least", "largest"), [("sigmoid", 0, 1), ("tanh", -1, 1)])
def test_an_image_of_an_autoencoder(
    export_and_verify: Export,
    tmp_path: Path,
    photo: Path,
    activation: str,
    least: float,
    largest: float,
) -> None:
    model = model_with(
        layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation=activation, name="y")
    )
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", task="image")
    values = (from_keras(model, bundle.path, photo) - least) / (largest - least) * 255
    saved = told(bundle.path, photo, "--save", str(tmp_path / "out"))["saved"]
    with Image.open(saved) as image:
        assert (image.mode, image.size) == ("RGB", (SIZE, SIZE))
        found = np.asarray(image).astype(float)
    np.testing.assert_allclose(found, values, atol=0.51)
    assert found.std() > 5


def test_boxes(export_and_verify: Export, tmp_path: Path, photo: Path) -> None:
    """Two outputs, with the suppression of TensorFlow as the reference."""
    import tensorflow as tf

    image = keras.Input((SIZE, SIZE, 3), name="photo")
    y = layers.Rescaling(1 / 127.5, offset=-1)(image)
    y = layers.Conv2D(8, 3, strides=4, activation="relu", padding="same")(y)
    boxes = layers.Reshape((36, 4), name="boxes")(layers.Conv2D(4, 1, activation="sigmoid")(y))
    scores = layers.Reshape((36, 2))(layers.Conv2D(2, 1)(y))
    scores = layers.Activation("sigmoid", name="scores")(scores)
    model = healthy(keras.Model(image, [boxes, scores], name="small"), "none")
    task = Task("detect", 0.3, box_format="cxcywh", box_units="relative", iou=0.4)
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", task=task)
    (source,) = load(bundle.path).manifest.inputs
    seen = pixels(photo, source.size, "RGB", source.resize)[np.newaxis].astype(np.float32)
    found, known = (np.asarray(one)[0] for one in model.predict(seen, verbose=0))
    edges = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], 1)
    expected = []
    for index in range(2):
        own = np.flatnonzero(known.argmax(axis=1) == index)
        kept = tf.image.non_max_suppression(edges[own], known[own, index], 36, 0.4, 0.3).numpy()
        for place in own[kept]:
            cut = np.clip(edges[place], 0, 1) * [83, 61, 83, 61]
            expected.append((index, float(known[place, index]), *cut.tolist()))
    keys = ("index", "score", "left", "top", "right", "bottom")
    given = [tuple(box[key] for key in keys) for box in told(bundle.path, photo)["boxes"]]
    assert len(given) > 1
    np.testing.assert_allclose(
        given, sorted(expected, key=lambda box: -box[1]), rtol=1e-4, atol=1e-3
    )

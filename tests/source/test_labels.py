"""Class labels: where they come from, and whether they fit the model."""

import json
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from cpp_verifiers import Export
from PIL import Image
from support import healthy, small_classifier

from kexport import runtime
from kexport.api import export
from kexport.errors import BadArgument
from kexport.options.application import Recipe
from kexport.source import labels
from kexport.source.synthetic_images import draw_images

CLASSES = ["Zebra", "ant 10", "ant 9", "éléphant", "owl"]
TF = Recipe(preprocess="tf")


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for image_dataset_from_directory, with entries that it ignores."""
    folder = tmp_path_factory.mktemp("training")
    for name in CLASSES:
        (folder / name).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / name / "1.png")
    (folder / ".cache").mkdir()
    (folder / "readme.txt").write_text("no class", encoding="utf-8")
    return folder


def test_a_training_folder_gives_the_names_that_keras_infers(training: Path) -> None:
    dataset = keras.utils.image_dataset_from_directory(training, image_size=(8, 8), verbose=False)
    assert list(labels.read(training)) == dataset.class_names
    assert labels.read(str(training)) == ("Zebra", "ant 10", "ant 9", "owl", "éléphant")


def test_imagenets_are_those_of_decode_predictions() -> None:
    names = labels.read("imagenet")
    assert (len(names), names[385], names[386]) == (1000, "Indian_elephant", "African_elephant")


def test_labels_in_a_list() -> None:
    assert labels.read(CLASSES) == tuple(CLASSES)
    for wrong in ([], ["a", ""], ["a\nb"]):
        with pytest.raises(BadArgument, match="each one line of text"):
            labels.read(wrong)


def test_a_folder_without_classes(tmp_path: Path) -> None:
    (tmp_path / "image.png").touch()
    with pytest.raises(BadArgument, match="has no subfolders") as caught:
        labels.read(tmp_path)
    assert "one subfolder for each class" in (caught.value.hint or "")


def test_labels_are_in_the_file_the_manifest_and_the_models_metadata(
    export_and_verify: Export, training: Path, tmp_path: Path
) -> None:
    model = healthy(small_classifier(classes=5), "tf")
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, labels=training)
    names = sorted(CLASSES)
    assert (bundle.path / "labels.txt").read_text(encoding="utf-8").splitlines() == names
    assert "labels.txt" in bundle.manifest["files"]
    props = {p.key: p.value for p in onnx.load(bundle.path / "model.onnx").metadata_props}
    assert json.loads(props["names"]) == {str(i): name for i, name in enumerate(names)}
    best = runtime.load(bundle.path).classify(draw_images(1, 24, 24, seed=5)[0], top_k=5)
    assert [row.label for row in best] == [names[row.index] for row in best]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("imagenet", "ImageNet has 1000 labels, but the model has 4 classes"),
        (CLASSES, "there are 5 labels, but the model has 4 classes"),
        ("training", "has 5 labels, but the model has 4 classes"),
        (Path("nowhere"), "labels file nowhere cannot be read"),
    ],
)
def test_labels_that_do_not_fit_publish_nothing(
    said: str | Path | list[str], told: str, training: Path, tmp_path: Path
) -> None:
    model = small_classifier(classes=4)
    given = training if said == "training" else said
    with pytest.raises(BadArgument, match=told):
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, labels=given)
    assert not list(tmp_path.iterdir())


def test_a_regression_has_no_classes_to_name(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3))
    y = keras.layers.Dense(5, activation="sigmoid")(keras.layers.Flatten()(x))
    model = keras.Model(x, y)
    with pytest.raises(BadArgument, match="5 labels, but nothing tells that the model's"):
        export(model, "cpu-fp32", output=tmp_path / "b", labels=CLASSES)

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
from kexport.cli.tables.bundle import bundle_table
from kexport.cli.tables.table import show
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
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, labels=CLASSES)


FORMS = {
    "list.json": '["cat", "dog", "élan"]',
    "class_indices.json": '{"dog": 1, "cat": 0, "élan": 2}',
    "by_index.json": '{"2": "élan", "0": "cat", "1": "dog"}',
    "one_column.csv": "cat\ndog\nélan\n",
    "label.csv": "\ufefflabel\ncat\ndog\nélan\n",
    "index_label.csv": "index,label\n2,élan\n0,cat\n1,dog\n",
    "plain.csv": "0,cat\n1,dog\n2,élan\n",
    "turned.csv": "cat,0\ndog,1\nélan,2\n",
    "wide.csv": 'Class Name,color,ID\ncat,"grey, black",0\nélan,brown,2\ndog,red,1\n',
    "lines.txt": "cat\n dog \nélan\n\n",
    "printed.txt": "['cat', 'dog',\n 'élan']\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_files_in_every_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    assert labels.read(path) == ("cat", "dog", "élan")


BROKEN = {
    "a.json": ("{", "not valid JSON"),
    "b.json": ('{"cat": "a"}', "neither indices as values nor as keys"),
    "c.json": ("[[1]]", "not a list of texts"),
    "d.json": ('{"cat": 1, "dog": 2}', "none with the index 0"),
    "e.json": ('{"cat": 0, "dog": 0}', "none with the index 1"),
    "f.csv": ("0,cat\n2,dog\n", "none with the index 1"),
    "g.csv": ("a,b,c\n", "which of its 3 columns has the labels is not known"),
    "h.csv": ("0,cat\n1\n", "its rows have 1 or 2 columns"),
    "i.csv": ("index,label\none,cat\n", "'one' is no index"),
    "j.csv": ("", "has no labels"),
    "k.csv": ("0,1\n1,2\n", "which of its 2 columns"),
    "l.txt": ("['a', b]", "is not a list"),
    "m.txt": ("a\n\nb\n", "has an empty line"),
    "n.json": ("[]", "has no labels"),
    "o.csv": ("label\n", "has no labels"),
    "p.csv": ('"a\n', "not valid CSV"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_labels(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadArgument, match=message) as caught:
        labels.read(tmp_path / name)
    assert caught.value.hint


def test_numbers_are_labels_too(tmp_path: Path) -> None:
    assert labels.read(range(3)) == ("0", "1", "2")
    (tmp_path / "n.json").write_text("[0, 1, 2]", encoding="utf-8")
    assert labels.read(tmp_path / "n.json") == ("0", "1", "2")


def test_the_order_of_the_classes_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keras sorts folders as text, so that 10 comes before 2."""
    for name in ("1", "2", "10", "30", "4", "5", "6"):
        (tmp_path / "training" / name).mkdir(parents=True)
    model = healthy(small_classifier(classes=7), "tf")
    bundle = export(
        model, "cpu-fp32", output=tmp_path / "b", recipe=TF, labels=tmp_path / "training"
    )
    show(bundle_table(bundle.path, bundle.manifest))
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("classes   7: 1, 10, 2, 30, 4, ..., 6")
    assert lines[place + 1].strip() == (
        "numbers in the order of text, as Keras sorts folders: compare with training"
    )

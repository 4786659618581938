"""Preprocessing of an export cannot be forgotten: refused, found inside, given, or tried."""

import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cpp_verifiers import Export
from keras import layers
from PIL import Image
from support import keras_answers

from kexport import runtime
from kexport.api import Bundle, export
from kexport.cli import main
from kexport.errors import BadArgument, ExportWarning
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.preprocessing import Custom, Preprocessing
from kexport.passes.image_input import recipe_of
from kexport.source.preprocessing import prepare

SIZE = 8
COLOURS = {
    "black": (20, 20, 20),
    "brown": (90, 60, 30),
    "navy": (30, 40, 90),
    "orange": (240, 150, 60),
    "sky": (110, 180, 245),
    "white": (225, 230, 225),
}
"""Classes of images of one colour and noise: they differ in brightness as well as in hue."""

EACH = 16


def drawn(color: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    noisy = rng.normal(color, 12, (SIZE, SIZE, 3)) + rng.normal(0, 8, 3)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of labelled images, with a subfolder for each colour."""
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    for name, color in COLOURS.items():
        (folder / name).mkdir()
        for number in range(EACH):
            Image.fromarray(drawn(color, rng)).save(folder / name / f"{number}.png")
    return folder


def nearest_colour(mode: Preprocessing) -> keras.Model:
    """Build a model that finds the nearest colour, for images preprocessed in a mode.

    Its first layer takes the preprocessing back, so that the scores 2 c.x - c.c of each colour c
    (half the difference of squared distances) belong to x in 0..255.
    """
    recipe = recipe_of(mode)
    order = recipe.order or (0, 1, 2)
    scale, shift = (np.broadcast_to(each, 3) for each in (recipe.scale, recipe.shift))
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    for place, channel in enumerate(order):
        kernel[0, 0, place, channel] = 1 / scale[place]
    bias = np.zeros(3, np.float32)
    bias[list(order)] = -shift / scale
    x = keras.Input((SIZE, SIZE, 3))
    back = layers.Conv2D(3, 1, name="back")
    pixels = layers.GlobalAveragePooling2D()(back(x))
    nearest = layers.Dense(len(COLOURS), name="nearest")
    model = keras.Model(x, layers.Softmax()(nearest(pixels)), name="colours")
    back.set_weights([kernel, bias])
    centres = np.asarray(list(COLOURS.values()), np.float32)
    nearest.set_weights([2e-3 * centres.T, -1e-3 * np.square(centres).sum(axis=1)])
    return model


def run(model: keras.Model, folder: Path, recipe: Recipe, **options: Any) -> Bundle:
    return export(model, "cpu-fp32", output=folder / "b", recipe=recipe, **options)


def test_a_model_of_ones_own_without_a_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"preprocess them \(the first is back\)") as caught:
        run(nearest_colour("tf"), tmp_path, Recipe())
    assert caught.value.hint == "say what training did to images in 0..255"
    assert [line.split()[0] for line in caught.value.details] == [
        *("none", "unit", "tf", "caffe", "torch", "raw", "auto")
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_mode_of_a_known_backbone_is_named(tmp_path: Path) -> None:
    model = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(32, 32, 3))
    with pytest.raises(BadArgument) as caught:
        run(model, tmp_path, Recipe())
    assert caught.value.hint == (
        "its layers are those of keras.applications.mobilenet, trained with "
        "`recipe.preprocess='tf'`"
    )


def test_the_command_line_names_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nearest_colour("tf").save(tmp_path / "m.keras")
    assert main([str(tmp_path / "m.keras"), "-t", "cpu-fp32", "-q"]) == 2
    said = capsys.readouterr().err
    assert "--preprocess is not given" in said
    assert "auto    what fits the labelled images of --eval-data\n" in said


def test_none_is_accepted_where_it_is_said(tmp_path: Path) -> None:
    bundle = run(nearest_colour("none"), tmp_path, Recipe(preprocess="none"))
    assert bundle.manifest["preprocessing"]["mode"] == "none"
    assert bundle.manifest["preprocessing"]["layers"] == []


def test_other_inputs_need_no_mode(tmp_path: Path) -> None:
    x = keras.Input((7,))
    bundle = run(keras.Model(x, layers.Dense(3)(x)), tmp_path, Recipe())
    assert bundle.manifest["preprocessing"]["mode"] == "none"
    assert bundle.manifest["parity"]["passed"] is True


def test_layers_that_preprocess_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = nearest_colour("unit")
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255, name="r")])
    model.add(inner)
    model.save(tmp_path / "m.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExportWarning)
        assert main([str(tmp_path / "m.keras"), "-t", "cpu-fp32", "-q", "-o", "b"]) == 0
    assert "\nimages  preprocessed inside the model, by r\n" in capsys.readouterr().out
    entry = json.loads(Path("b/manifest.json").read_text(encoding="utf-8"))["preprocessing"]
    assert (entry["mode"], entry["layers"]) == ("none", ["r"])


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def test_preprocessing_twice_is_warned_of(tmp_path: Path) -> None:
    x = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(x, nearest_colour("unit")(layers.Rescaling(1 / 255, name="r")(x)))
    with pytest.warns(ExportWarning, match=r"preprocessed twice: as asked \(tf.* layers \(r\)"):
        made = run(model, tmp_path, Recipe(preprocess="tf"))
    assert made.manifest["preprocessing"]["mode"] == "tf"


CUSTOM = Custom((1 / 128,), (0.5, 0.25, 1.0), (2.0, 1.0, 0.5), bgr=True)


def test_numbers_are_in_the_graph_and_the_manifest(
    export_and_verify: Export, tmp_path: Path
) -> None:
    model = nearest_colour(CUSTOM)
    recipe = Recipe(scale=1 / 128, mean=(0.5, 0.25, 1.0), std=(2.0, 1.0, 0.5), bgr=True)
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=recipe)
    entry = bundle.manifest["preprocessing"]
    assert {name: entry[name] for name in ("mode", "scale", "mean", "std", "bgr", "folded")} == {
        "mode": "custom",
        "scale": [1 / 128],
        "mean": [0.5, 0.25, 1.0],
        "std": [2.0, 1.0, 0.5],
        "bgr": True,
        "folded": True,
    }
    rng = np.random.default_rng(5)
    images = np.stack([drawn(color, rng) for color in COLOURS.values()])
    (wanted,) = keras_answers(model, [prepare(images, CUSTOM)])
    assert wanted.argmax(axis=1).tolist() == list(range(len(COLOURS)))
    session = runtime.load(bundle.path)
    given = [session.run(image[np.newaxis])["probabilities"][0] for image in images]
    np.testing.assert_allclose(given, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"preprocess": "auto"}, "`recipe.preprocess='auto'` needs labelled images"),
        ({"preprocess": "tf", "scale": 2.0}, "makes a preprocessing of its own"),
    ],
)
def test_what_does_not_fit_is_refused(said: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=message):
        run(nearest_colour("tf"), tmp_path, Recipe(**said))


def test_numbers_for_an_application_are_refused(tmp_path: Path) -> None:
    recipe = Recipe(weights="random", scale=0.5)
    with pytest.raises(BadArgument, match=r"mobilenet has a preprocessing of its own, tf: x / 127"):
        export("mobilenet", "cpu-fp32", output=tmp_path / "b", recipe=recipe)


@pytest.mark.parametrize("mode", ["none", "unit", "tf", "caffe", "torch"])
def test_auto_finds_the_mode_of_training(mode: Any, labelled: Path, tmp_path: Path) -> None:
    bundle = run(
        nearest_colour(mode),
        tmp_path,
        Recipe(preprocess="auto"),
        calibration=Calibration(eval_data=labelled),
    )
    entry = bundle.manifest["preprocessing"]
    assert entry["mode"] == mode
    assert entry["chosen"]["images"] == EACH * len(COLOURS)
    assert next(iter(entry["chosen"]["top1"])) == mode
    assert sorted(entry["chosen"]["top1"]) == ["caffe", "none", "tf", "torch", "unit"]
    assert bundle.manifest["labelled"]["top1"] == entry["chosen"]["top1"][mode] > 0.95


def test_auto_refuses_where_modes_cannot_be_told_apart(labelled: Path, tmp_path: Path) -> None:
    """A model that looks at hue alone is right in two modes."""
    x = keras.Input((SIZE, SIZE, 3))
    mean = layers.GlobalAveragePooling2D()(x)
    hue = layers.UnitNormalization()(mean)
    dense = layers.Dense(len(COLOURS))
    model = keras.Model(x, layers.Softmax()(dense(hue)), name="hues")
    centres = np.asarray(list(COLOURS.values()), np.float32)
    unit = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    dense.set_weights([20 * unit.T, np.zeros(len(COLOURS))])
    with pytest.raises(BadArgument, match="labelled images do not tell none from unit") as caught:
        run(
            model,
            tmp_path,
            Recipe(preprocess="auto"),
            calibration=Calibration(eval_data=labelled),
        )
    assert len(caught.value.details) == 5
    assert "%" in caught.value.details[0]


def test_auto_refuses_a_model_that_is_never_better_than_chance(
    labelled: Path, tmp_path: Path
) -> None:
    x = keras.Input((SIZE, SIZE, 3))
    dense = layers.Dense(len(COLOURS), activation="softmax")
    model = keras.Model(x, dense(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x))))
    dense.set_weights([np.zeros((3, 6)), np.arange(6.0)])
    with pytest.raises(BadArgument, match=r"is Keras better than chance: it is right on 16\.7%"):
        run(
            model,
            tmp_path,
            Recipe(preprocess="auto"),
            calibration=Calibration(eval_data=labelled),
        )


def judged(
    mode: Any, said: Any, folder: Path, labelled: Path, labels: list[str] | None = None
) -> Bundle:
    return run(
        nearest_colour(mode),
        folder,
        Recipe(preprocess=said),
        calibration=Calibration(eval_data=labelled),
        labels=labels,
    )


def test_the_accuracy_of_keras_is_told(labelled: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExportWarning)
        entry = judged("unit", "unit", tmp_path, labelled).manifest["labelled"]
    low, high = entry["interval"]
    assert entry["images"] == EACH * len(COLOURS)
    assert low < entry["top1"] <= high


@pytest.mark.parametrize(
    ("target", "top_k"), [("cpu-fp32", None), ("cpu-fp32", 2), ("trt-fp16", None)]
)
def test_the_accuracy_of_a_float_bundle_is_that_of_its_answers(
    labelled: Path, tmp_path: Path, target: str, top_k: int | None
) -> None:
    made = export(
        nearest_colour("unit"),
        target,
        output=tmp_path / "b",
        recipe=Recipe(preprocess="unit"),
        calibration=Calibration(eval_data=labelled),
        labels=sorted(COLOURS),
        top_k=top_k,
        batch=4,
    )
    session = runtime.load(made.path)
    files = sorted(labelled.rglob("*.png"))
    best = [one[0].label for one in session.classify_all(map(str, files), 1)]
    right = np.mean([label == file.parent.name for label, file in zip(best, files, strict=True)])
    entry = made.manifest["labelled"]
    assert entry["bundle"]["value"] == pytest.approx(right)
    assert entry["bundle"]["images"] == len(files)
    assert entry["bundle"]["measure"] == "top1"


def test_a_wrong_mode_is_warned_of(labelled: Path, tmp_path: Path) -> None:
    with pytest.warns(ExportWarning, match="Keras itself is right on .*another preprocessing"):
        made = judged("unit", "none", tmp_path, labelled)
    assert made.manifest["labelled"]["top1"] < 0.5


def test_labels_in_another_order_are_refused(labelled: Path, tmp_path: Path) -> None:
    names = ["black", "brown", "navy", "sky", "orange", "white"]
    with pytest.raises(BadArgument, match="takes the images of 'sky' for 'orange'") as caught:
        judged("tf", "tf", tmp_path, labelled, names)
    assert (caught.value.hint or "").endswith(
        "which seems to be: black, brown, navy, orange, sky, white"
    )
    judged("tf", "tf", tmp_path, labelled, sorted(names))


def test_labelled_images_need_a_task_with_a_measure(labelled: Path, tmp_path: Path) -> None:
    x = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(x, layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(x)))
    with pytest.raises(BadArgument, match="the task raw has no measure"):
        run(model, tmp_path, Recipe(), calibration=Calibration(eval_data=labelled))
    y = keras.Input((7,))
    dense = keras.Model(y, layers.Dense(3)(y))
    with pytest.raises(BadArgument, match=r"no image input for `calibration\.eval_data`"):
        run(dense, tmp_path, Recipe(), calibration=Calibration(eval_data=labelled))
    with pytest.raises(BadArgument, match="has no image input to preprocess"):
        run(
            dense,
            tmp_path,
            Recipe(preprocess="auto"),
            calibration=Calibration(eval_data=labelled),
        )

"""Models of several inputs: images by name, beside numbers and ids, equal to Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cpp_verifiers import Export
from keras import layers
from labelled_data import draw, in_class_folders
from PIL import Image
from several_inputs import GIVEN, MODES, NUMBERS, images, joined, of_keras, two_images
from support import keras_answers, normal, randomise

from kexport import runtime
from kexport.api import Bundle, export
from kexport.cli import main
from kexport.errors import BadArgument, ExportWarning
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.image_input import ImageInput
from kexport.runtime.image import sample
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return joined()


@pytest.fixture(scope="module")
def bundle(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    recipe = Recipe(preprocess={"*": "tf", "depth": MODES["depth"]})
    folder = tmp_path_factory.mktemp("bundles") / "joined"
    return export(model, "cpu-fp32", output=folder, recipe=recipe, image_input=GIVEN, batch=1)


def test_each_image_is_described_by_name(bundle: Bundle) -> None:
    entries = {entry["name"]: entry for entry in bundle.manifest["inputs"]}
    told = {name: (entry["color"], entry["dtype"]) for name, entry in entries.items()}
    assert told == {
        "left": ("RGB", "uint8"),
        "right": ("NV12", "uint8"),
        "depth": ("GRAY", "uint8"),
        "numbers": (None, "float32"),
        "word": (None, "int32"),
    }
    modes = {n: e["preprocessing"]["mode"] for n, e in entries.items() if "preprocessing" in e}
    assert modes == {"left": "tf", "right": "tf", "depth": "custom"}
    assert entries["right"]["preprocessing"]["size"] == [16, 20]
    assert "resize" not in entries["right"]
    assert entries["left"]["resize"] == {"method": "tf-bilinear", "fit": "stretch"}
    assert bundle.manifest["preprocessing"] == entries["left"]["preprocessing"]
    probes = set(bundle.manifest["parity"]["probes"])
    assert "inputs in reverse order" in probes
    assert any(name.endswith("of right") for name in probes)


def test_parity_is_proven_on_images(bundle: Bundle) -> None:
    assert all(row["error"] < 1e-5 for row in bundle.manifest["parity"]["outputs"].values())
    with np.load(bundle.path / "golden.npz") as golden:
        for name in ("left", "right", "depth"):
            assert golden[name].dtype == np.uint8
            assert (golden[name].min(), golden[name].max()) == (0, 255)
        assert (golden["left"][0] != golden["left"][1]).any()
        assert 0 <= golden["word"].min() < golden["word"].max() == 6


def test_arrays_by_name_give_what_keras_gives(model: keras.Model, bundle: Bundle) -> None:
    drawn = images(seed=4)
    raw = {
        "left": drawn["left"][None],
        "right": encode(drawn["right"][:36], "NV12", "NHWC", "uint8")[None],
        "depth": draw_images(1, 12, 12, 1, seed=4),
        **{name: array[None] for name, array in NUMBERS.items()},
    }
    given = runtime.load(bundle.path).run(raw)["scores"]
    np.testing.assert_allclose(given, of_keras(model, raw), atol=1e-5)


def wanted(model: keras.Model, bundle: Bundle, drawn: dict[str, Any]) -> Any:
    """Return what Keras gives for decoded images, brought into the bundle's form by the runtime."""
    specs = runtime.load(bundle.path).manifest.inputs
    arrays = {spec.name: sample(drawn[spec.name], spec) for spec in specs if spec.color}
    return of_keras(model, {name: array[None] for name, array in (arrays | NUMBERS).items()})[0]


def test_a_sample_of_images_and_numbers_is_answered(model: keras.Model, bundle: Bundle) -> None:
    drawn = images(seed=5)
    session = runtime.load(bundle.path)
    found = session.predict({**drawn, "numbers": [0.5, -1, 2], "word": [6, 1]})
    scores = {one.index: one.score for one in found.predictions}
    answer = wanted(model, bundle, drawn)
    np.testing.assert_allclose([scores[i] for i in range(4)], answer, atol=1e-5)
    (best,) = session.classify({**drawn, **NUMBERS}, top_k=1)
    assert best.index == answer.argmax()


@pytest.mark.parametrize("program", ["kexport run", "run.py"])
def test_files_are_answered(
    model: keras.Model, bundle: Bundle, tmp_path: Path, program: str, capsys: Any
) -> None:
    samples = {f"s{seed}": images(seed) for seed in (6, 7)}
    for stem, drawn in samples.items():
        for name, array in drawn.items():
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(array.squeeze()).save(tmp_path / name / f"{stem}.png")
    given = ["--input", "numbers=0.5,-1,2", "--input", "word=6,1"]
    for name in ("left", "right", "depth"):
        given += ["--input", f"{name}={tmp_path / name}"]
    assert ask(program, bundle.path, *given) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["picture"] for row in rows] == ["s6", "s7"]
    assert rows[0]["inputs"]["left"] == str(tmp_path / "left" / "s6.png")
    for row, drawn in zip(rows, samples.values(), strict=True):
        scores = {one["index"]: one["score"] for one in row["predictions"]}
        answer = wanted(model, bundle, drawn)
        np.testing.assert_allclose([scores[i] for i in range(4)], answer, atol=1e-5)


def ask(program: str, bundle: Path, *words: str) -> int:
    from kexport.runtime.cli import main as run_py

    if program == "run.py":
        return run_py(bundle, [*words, "--jsonl"])
    return main(["run", str(bundle), *words, "--jsonl"])


def test_an_image_alone_is_refused_in_words(bundle: Bundle, capsys: Any, tmp_path: Path) -> None:
    assert main(["run", str(bundle.path), "a.jpg"]) == 16
    said = capsys.readouterr().err
    assert "the model's inputs are left, right, depth, numbers, word, and a.jpg is not" in said
    assert "--input left=a.jpg" in said
    assert main(["run", str(bundle.path)]) == 2


def test_a_mask_lies_on_the_first_image(tmp_path: Path) -> None:
    numbers, photo = keras.Input((2,), name="numbers"), keras.Input((8, 10, 3), name="photo")
    cells = layers.Conv2D(3, 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(photo))
    added = layers.Reshape((1, 1, 3))(layers.Dense(3)(numbers))
    model = randomise(keras.Model([numbers, photo], layers.Add(name="cells")([cells, added])))
    bundle = export(
        model,
        "cpu-fp32",
        output=tmp_path / "b",
        task="segment",
        image_input=ImageInput(resize_outside="tf-nearest,crop"),
    )
    (drawn,) = draw_images(1, 32, 30, seed=2)
    found = runtime.load(bundle.path).predict({"photo": drawn, "numbers": [1, -1]})
    window = drawn[4:28].astype(np.float32)  # 24 x 30 around the centre, the aspect of 8 x 10
    seen = window[1::3, 1::3][None]
    (scores,) = keras_answers(model, [np.asarray([[1, -1]], np.float32), seen])
    wanted = scores[0].argmax(axis=-1).repeat(6, axis=0).repeat(6, axis=1)
    np.testing.assert_array_equal(found.classes[4:28], wanted)
    assert set(np.unique(found.classes[[*range(4), *range(28, 32)]])) == {255}


def test_images_without_preprocessing_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"the input 'left' of .* takes images") as caught:
        export(two_images(), "cpu-fp32", output=tmp_path / "b")
    assert "`recipe.preprocess={'left': 'unit'}`" in (caught.value.hint or "")
    recipe = Recipe(preprocess={"left": "unit"})
    with pytest.raises(BadArgument, match="the input 'right' of"):
        export(two_images(), "cpu-fp32", output=tmp_path / "b", recipe=recipe)


def test_layers_that_preprocess_are_found_for_each_image(tmp_path: Path) -> None:
    model = two_images(lambda a, b: [layers.Rescaling(1 / 255, name="r")(a), b])
    with pytest.raises(BadArgument, match="the input 'right' of"):
        export(model, "cpu-fp32", output=tmp_path / "b")
    recipe = Recipe(preprocess={"left": "tf", "right": "tf"})
    with pytest.warns(ExportWarning, match="the input 'left' of .* are preprocessed twice"):
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=recipe)


def test_an_input_that_is_said_to_be_raw_stays_as_keras_has_it(
    export_and_verify: Export, tmp_path: Path
) -> None:
    model = two_images()
    recipe = Recipe(preprocess={"left": "tf", "right": "raw"})
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=recipe)
    left, right = bundle.manifest["inputs"]
    assert (left["color"], right["color"], right["dtype"]) == ("RGB", None, "float32")
    raw = {"left": draw_images(2, 10, 10, seed=3), "right": normal(2, 10, 10, 3)}
    (answers,) = keras_answers(model, [prepare(raw["left"], "tf"), raw["right"]])
    (given,) = runtime.load(bundle.path).run(raw).values()
    np.testing.assert_allclose(given, answers, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": Recipe(preprocess={"lift": "tf"})}, "is given for 'lift'"),
        (
            {
                "recipe": Recipe(preprocess="tf"),
                "image_input": {"lift": ImageInput(format="bgr")},
            },
            "an option of the image input is given for 'lift'",
        ),
    ],
)
def test_choices_for_no_input_are_refused(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        export(two_images(), "cpu-fp32", output=tmp_path / "b", **options)
    assert caught.value.hint == "did you mean 'left'?"


def test_a_preprocessing_for_no_image_is_refused(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 4), name="rgbd")
    model = keras.Model(x, layers.Conv2D(2, 3)(x))
    for asked in ("tf", {"*": "tf"}):
        with pytest.raises(BadArgument, match=r"has no image input to preprocess \(tf: x / 127"):
            export(model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess=asked))


def test_options_by_name_on_the_command_line(tmp_path: Path, capsys: Any) -> None:
    two_images().save(tmp_path / "m.keras")
    words = (
        "--preprocess tf --preprocess right=unit --layout nchw --layout right=nhwc "
        "--input-format left=bgr --resize right=nearest --resize-outside left=pil-bilinear,crop"
    )
    folder = tmp_path / "b"
    given = [str(tmp_path / "m.keras"), "-t", "cpu-fp32", "-q", "-o", str(folder), *words.split()]
    assert main(given) == 0
    assert "images  left: tf: x / 127.5 - 1: -1..1\n" in capsys.readouterr().out
    left, right = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["inputs"]
    assert (left["layout"], left["color"], left["preprocessing"]["mode"]) == ("NCHW", "BGR", "tf")
    assert left["resize"] == {"method": "pil-bilinear", "fit": "crop"}
    assert (right["layout"], right["color"]) == ("NHWC", "RGB")
    assert (right["preprocessing"]["mode"], right["preprocessing"]["resize"]) == ("unit", "nearest")
    assert right["shape"] == [1, None, None, 3]


@pytest.fixture
def labelled_images(tmp_path: Path) -> Path:
    return in_class_folders(tmp_path / "data", draw(4, 9, 9), ["a", "a", "b", "b"])


@pytest.mark.parametrize(
    ("target", "task"), [("cpu-fp32", None), ("cpu-fp32", "embed"), ("cpu-int8", "embed")]
)
def test_labelled_images_are_for_one_image(
    target: str, task: Any, labelled_images: Path, tmp_path: Path
) -> None:
    data = labelled_images if target == "cpu-int8" else None
    with pytest.raises(BadArgument, match="has several inputs, and `calibration"):
        export(
            two_images(),
            target,
            output=tmp_path / "b",
            task=task,
            recipe=Recipe(preprocess="tf"),
            calibration=Calibration(data=data, eval_data=labelled_images),
        )


def test_modes_are_tried_for_one_image(labelled_images: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="has 2 inputs, and the modes are tried"):
        export(
            two_images(),
            "cpu-fp32",
            output=tmp_path / "b",
            recipe=Recipe(preprocess="auto"),
            calibration=Calibration(eval_data=labelled_images),
        )


def test_own_samples_and_ranges_on_the_command_line(tmp_path: Path, capsys: Any) -> None:
    photo, numbers = keras.Input((9, 9, 3), name="photo"), keras.Input((4,), name="numbers")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(photo))
    both = layers.Concatenate()([seen, layers.Dense(3)(numbers)])
    randomise(keras.Model([photo, numbers], both)).save(tmp_path / "m.keras")
    own = {"photo": draw_images(6, 9, 9, seed=1), "numbers": normal(6, 4)}
    np.savez(tmp_path / "own.npz", **own)
    base = [str(tmp_path / "m.keras"), "-t", "cpu-fp32", "-q", "--preprocess", "unit"]
    folder = tmp_path / "b"
    given = ["--samples", str(tmp_path / "own.npz"), "--input-range", "numbers=0,5"]
    assert main([*base, "-o", str(folder), *given]) == 0
    assert "on 6 of your samples and 10 hard ones, Keras against" in capsys.readouterr().out
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["parity"]["own"] == 6
    assert [entry["range"] for entry in manifest["inputs"]] == [[0, 255], [0, 5]]
    with np.load(folder / "golden.npz") as golden:
        kept = {row.tobytes() for row in golden["photo"][:6]}
        assert kept == {row.tobytes() for row in own["photo"]}
        hard = golden["numbers"][6:]
        assert (hard.min(), hard.max()) == (min(0, own["numbers"].min()), 5)
    assert runtime.verify(folder).passed
    assert main([*base, "--samples", str(tmp_path / "missing.npz")]) == 2
    assert "do not exist" in capsys.readouterr().err

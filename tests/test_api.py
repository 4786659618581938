"""kexport.export, from a model in hand to a bundle on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from cpp_verifiers import Export, Verify
from keras import layers
from support import (
    assert_near,
    healthy,
    keras_answers,
    normal,
    randomise,
    room_for,
    small_classifier,
)

from kexport import runtime
from kexport.api import export
from kexport.errors import BadArgument, OutputExists, OutputFailed, ParityFailed, UnknownTarget
from kexport.options.application import Recipe
from kexport.options.toolchain import Toolchain
from kexport.passes import image_input as pixels
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images

TF = Recipe(preprocess="tf")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return healthy(small_classifier(), "tf")


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def break_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = dataclasses.replace(pixels.RECIPES["tf"], order=(2, 1, 0))
    monkeypatch.setitem(pixels.RECIPES, "tf", swapped)


@pytest.mark.parametrize("target", ["cpu-fp32", "trt-fp32", "trt-fp16"])
def test_the_bundle_answers_as_keras_does(
    export_and_verify: Export, model: keras.Model, target: str, tmp_path: Path
) -> None:
    bundle = export_and_verify(model, target, output=tmp_path / "b", recipe=TF)
    manifest = json.loads((bundle.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == bundle.manifest
    assert manifest["parity"]["passed"] is True
    proto = onnx.load(bundle.path / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == manifest["target"]["opset"]
    if target == "cpu-fp32":
        unseen = draw_images(1, 24, 24, seed=77)
        given = runtime.load(bundle.path).run(unseen)["top"]
        assert_near([given], keras_answers(model, [prepare(unseen, "tf")]))
        assert runtime.verify(bundle.path).passed


def test_preprocessing_costs_nothing_where_it_folds(
    export_and_verify: Export, tmp_path: Path
) -> None:
    x = keras.Input((24, 24, 3))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    model = healthy(keras.Model(x, layers.Dense(4)(y), name="valid"), "caffe")
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="caffe")
    )
    assert bundle.manifest["preprocessing"] == {
        "mode": "caffe",
        "folded": True,
        "layers": [],
        "resize": None,
        "crop": None,
        "size": None,
    }
    nodes = [node.op_type for node in onnx.load(bundle.path / "model.onnx").graph.node]
    assert nodes[:3] == ["Transpose", "Cast", "Conv"]


@pytest.mark.parametrize("batch", [1, 3, "dynamic"])
def test_batch(export_and_verify: Export, model: keras.Model, batch: Any, tmp_path: Path) -> None:
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, batch=batch)
    expected = None if batch == "dynamic" else batch
    assert bundle.manifest["inputs"][0]["shape"] == [expected, 24, 24, 3]
    assert bundle.manifest["outputs"][0]["shape"] == [expected, 10]
    unseen = draw_images(3 if batch == "dynamic" else batch, 24, 24, seed=5)
    given = runtime.load(bundle.path).run(unseen)["top"]
    assert_near([given], keras_answers(model, [prepare(unseen, "tf")]))


def test_opset(export_and_verify: Export, model: keras.Model, tmp_path: Path) -> None:
    bundle = export_and_verify(
        model, "trt-fp16", output=tmp_path / "b", recipe=TF, toolchain=Toolchain(opset=13)
    )
    assert bundle.manifest["target"]["opset"] == 13
    assert onnx.load(bundle.path / "model.onnx").opset_import[0].version == 13


def test_outputs_of_chosen_layers(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    chosen = ["stem", "pool"]
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=TF, output_layers=chosen
    )
    assert [output["name"] for output in bundle.manifest["outputs"]] == chosen
    unseen = draw_images(1, 24, 24, seed=5)
    given = runtime.load(bundle.path).run(unseen)
    inner = keras.Model(model.inputs, [model.get_layer(name).output for name in chosen])
    wanted = keras_answers(inner, [prepare(unseen, "tf")])
    assert_near([given[name] for name in chosen], wanted)


def test_an_unknown_layer_is_refused(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="no layer 'stem_bm'") as caught:
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, output_layers=["stem_bm"])
    assert caught.value.hint == "did you mean 'stem_bn'?"
    assert not list(tmp_path.iterdir())


LABELS = "".join(f"class {i}\n" for i in range(10))


def test_labels(export_and_verify: Export, model: keras.Model, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(f"\ufeff{LABELS}\n\n", encoding="utf-8")
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, labels=file)
    assert (bundle.path / "labels.txt").read_text(encoding="utf-8") == LABELS
    best = runtime.load(bundle.path).classify(draw_images(1, 24, 24, seed=5)[0], top_k=1)[0]
    assert best.label == f"class {best.index}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (LABELS.encode() + b"one more\n", "11 labels, but the model has 10 classes"),
        (b"one\n", "1 labels, but the model has 10 classes"),
        (b"", "no labels"),
        (b"\n\n", "no labels"),
        (LABELS.replace("class 3", "").encode(), "an empty line"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_wrong_labels(model: keras.Model, content: bytes | None, told: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadArgument, match=told):
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=TF, labels=file)
    assert not (tmp_path / "b").exists()


def test_a_wrong_target(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(UnknownTarget):
        export(model, "cpu-fp33", output=tmp_path / "b", recipe=TF)


def test_a_model_without_images(export_and_verify: Export, tmp_path: Path) -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    y = layers.Dense(5, activation="tanh", name="y")(layers.Concatenate()([a, b]))
    model = randomise(keras.Model([a, b], y, name="two"))
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b")
    assert [entry["name"] for entry in bundle.manifest["inputs"]] == ["a", "b"]
    x, z = normal(1, 4), normal(1, 3)
    given = runtime.load(bundle.path).run({"a": x, "b": z})
    assert_near([given["y"]], keras_answers(model, [x, z]))


def test_a_traced_layer_is_named_in_the_manifest(export_and_verify: Export, tmp_path: Path) -> None:
    class Mine(layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.sin(x)

    x = keras.Input((24, 24, 3))
    y = layers.GlobalAveragePooling2D()(Mine(name="mine")(layers.Conv2D(8, 3)(x)))
    model = healthy(keras.Model(x, layers.Dense(4)(y), name="own"), "tf")
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=TF)
    assert bundle.manifest["model"]["traced"] == ["mine"]


def test_timestamps_only_when_asked(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    plain = export_and_verify(model, "cpu-fp32", output=tmp_path / "a", recipe=TF).manifest
    stamped = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=TF, timestamps=True
    ).manifest
    assert plain["created"] is None
    assert {step["seconds"] for step in plain["steps"]} == {None}
    assert stamped["created"].endswith("+00:00")
    assert all(step["seconds"] >= 0 for step in stamped["steps"])


def test_progress_tells_every_step(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    told: list[str] = []
    export_and_verify(model, "trt-fp16", output=tmp_path / "b", recipe=TF, progress=told.append)
    for step in (
        "building the model",
        "converting",
        "image_input",
        "convert_float16",
        "writing the bundle",
    ):
        assert step in told


def test_an_existing_folder_is_in_the_way(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    export_and_verify(model, "cpu-fp32", output=folder, recipe=TF)
    before = contents(folder)
    with pytest.raises(OutputExists, match="exists already"):
        export(model, "cpu-fp32", output=folder, recipe=TF)
    assert contents(folder) == before
    export_and_verify(model, "trt-fp16", output=folder, recipe=TF, force=True)
    assert runtime.verify(folder).passed
    assert json.loads((folder / "manifest.json").read_text())["target"]["name"] == "trt-fp16"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_parity_leaves_the_old_bundle(
    export_and_verify: Export, model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "b"
    export_and_verify(model, "cpu-fp32", output=folder, recipe=TF)
    before = contents(folder)
    break_preprocessing(monkeypatch)
    for _ in range(2):  # the second rejected bundle takes the place of the first
        with pytest.raises(ParityFailed):
            export(model, "cpu-fp32", output=folder, recipe=TF, force=True)
    assert contents(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.rejected"]
    rejected = json.loads((tmp_path / "b.rejected" / "manifest.json").read_text())
    assert rejected["parity"]["passed"] is False
    assert "model.onnx" in rejected["files"]


@pytest.mark.parametrize("size", [0, 3_000, 12_000])
def test_a_full_disk_leaves_nothing(model: keras.Model, size: int, tmp_path: Path) -> None:
    with room_for(size), pytest.raises(OutputFailed, match="cannot be written"):
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=TF)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_bundle(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    export_and_verify(model, "cpu-fp32", output=folder, recipe=TF)
    before = contents(folder)
    with room_for(3_000), pytest.raises(OutputFailed):
        export(model, "cpu-fp32", output=folder, recipe=TF, force=True)
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_parent_that_is_a_file(model: keras.Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputFailed, match="cannot be written"):
        export(model, "cpu-fp32", output=tmp_path / "file" / "b", recipe=TF)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_parent_that_may_not_be_written(model: keras.Model, tmp_path: Path) -> None:
    parent = tmp_path / "locked"
    parent.mkdir(mode=0o500)
    with pytest.raises(OutputFailed, match="permission denied"):
        export(model, "cpu-fp32", output=parent / "b", recipe=TF)


def test_parents_are_made(export_and_verify: Export, model: keras.Model, tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where" / "b"
    assert export_and_verify(model, "cpu-fp32", output=folder, recipe=TF).path == folder
    assert runtime.verify(folder).passed


PROGRAM = """
import sys
from pathlib import Path
sys.modules["tensorrt_rtx"] = None  # as in these tests
from kexport.api import export
from kexport.options.application import Recipe
for target in ("cpu-fp32", "trt-fp16"):
    export(sys.argv[1], target, output=Path(sys.argv[2]) / target, recipe=Recipe(preprocess="tf"))
"""


@pytest.mark.slow
def test_two_processes_give_the_same_bytes(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    """This one, and another with other hashes."""
    file = tmp_path / "small.keras"
    model.save(file)
    for target in ("cpu-fp32", "trt-fp16"):
        export_and_verify(file, target, output=tmp_path / "here" / target, recipe=TF)
    words = [sys.executable, "-c", PROGRAM, str(file), str(tmp_path / "there")]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run(words, check=True, env=environment, capture_output=True)
    found = contents(tmp_path / "here")
    assert found == contents(tmp_path / "there")
    for target in ("cpu-fp32", "trt-fp16"):
        assert {f"{target}/model.onnx", f"{target}/manifest.json"} <= set(found)


def test_the_golden_arrays_are_what_keras_gave(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=TF)
    golden = np.load(bundle.path / "golden.npz")
    assert golden["image"].dtype == np.uint8
    assert len(golden["image"]) >= 4
    assert_near([golden["top"]], keras_answers(model, [prepare(golden["image"], "tf")]), 1e-6)


@pytest.mark.usefixtures("plain")  # skips where C++ cannot be built
def test_a_bundle_that_cpp_refuses_fails_the_test_that_exports_it(
    export_and_verify: Export, verify_in_cpp: Verify, model: keras.Model, tmp_path: Path
) -> None:
    bundle = export_and_verify(model, "cpu-fp32", output=tmp_path / "b", recipe=TF)
    (bundle.path / "golden.npz").write_bytes(b"altered")
    with pytest.raises(pytest.fail.Exception, match=r"kexport-verify \(C\+\+\) exits with 14"):
        verify_in_cpp(bundle.path)

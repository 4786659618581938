"""Image formats of whole bundles: parity, the runtime, and faults that are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cpp_verifiers import Export, Verify
from PIL import Image
from support import healthy, keras_answers, small_classifier

from kexport import runtime
from kexport.api import Bundle, export
from kexport.cli import main
from kexport.errors import BadArgument, ParityFailed
from kexport.graph import edit
from kexport.graph.passes import Pass
from kexport.options.application import Recipe
from kexport.options.image_input import FORMATS, RESIZES, ImageInput
from kexport.passes import add_top_k as ranking
from kexport.passes import image_input as first
from kexport.passes import pipeline
from kexport.passes.image_input import color_formats, resize, resize_and_layout
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import draw_images

TF = Recipe(preprocess="tf")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return healthy(small_classifier(), "tf")


@pytest.fixture
def published(export_and_verify: Export) -> Export:
    """Export a model that is trained on inputs from -1 to 1."""

    def make(model: keras.Model, folder: Path, target: str = "cpu-fp32", **options: Any) -> Bundle:
        return export_and_verify(model, target, output=folder, recipe=TF, **options)

    return make


def answers(model: keras.Model, raw: Any, pixels: ImageInput) -> Any:
    (found,) = keras_answers(model, [prepare(decode(raw, pixels, (24, 24), 3), "tf")])
    return found


@pytest.mark.parametrize("resize", [None, *RESIZES])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_a_bundle(
    published: Export, model: keras.Model, name: Any, resize: Any, tmp_path: Path
) -> None:
    """Run at a size other than that of the parity check, on other images."""
    pixels = ImageInput(format=name, resize=resize)
    bundle = published(model, tmp_path / "b", image_input=pixels)
    entry = bundle.manifest["inputs"][0]
    assert (entry["color"], entry["layout"], entry["dtype"]) == (name.upper(), "NHWC", "uint8")
    assert all(row["error"] < 1e-5 for row in bundle.manifest["parity"]["outputs"].values())
    assert runtime.verify(bundle.path).passed
    size = (24, 24) if resize is None else (18, 50)
    drawn = draw_images(1, *size, channels=1 if name == "gray" else 3, seed=9)
    raw = np.stack([encode(image, pixels.color, "NHWC", "uint8") for image in drawn])
    given = runtime.load(bundle.path).run(raw)["top"]
    np.testing.assert_allclose(given, answers(model, raw, pixels), atol=1e-5)


@pytest.mark.parametrize("target", ["cpu-fp32", "trt-fp16", "trt-fp32"])
def test_formats_on_every_kind_of_target(
    published: Export, model: keras.Model, target: str, tmp_path: Path
) -> None:
    pixels = ImageInput(format="nv12", resize="bicubic", crop="center")
    entry = published(model, tmp_path / "b", target, image_input=pixels, top_k=3).manifest
    assert entry["parity"]["passed"] is True
    assert entry["inputs"][0]["shape"] == [1, None, None, 1]
    wanted = {"resize": "bicubic", "crop": "center", "size": [24, 24], "mode": "tf"}
    assert entry["preprocessing"] == {**wanted, "folded": False, "layers": []}


@pytest.mark.parametrize("batch", [1, 3, "dynamic"])
def test_nchw_float32_images(
    published: Export, model: keras.Model, batch: Any, tmp_path: Path
) -> None:
    pixels = ImageInput(format="bgr", layout="nchw", dtype="float32")
    bundle = published(model, tmp_path / "b", image_input=pixels, batch=batch)
    count = 3 if batch == "dynamic" else batch
    (entry,) = bundle.manifest["inputs"]
    open_or_not = None if batch == "dynamic" else batch
    assert (entry["shape"], entry["dtype"], entry["range"]) == (
        [open_or_not, 3, 24, 24],
        "float32",
        [0, 255],
    )
    raw = np.random.default_rng(0).uniform(0, 255, (count, 3, 24, 24)).astype(np.float32)
    given = runtime.load(bundle.path).run(raw)["top"]
    np.testing.assert_allclose(given, answers(model, raw, pixels), atol=1e-5)


def test_default_pixels_change_nothing(
    published: Export, model: keras.Model, tmp_path: Path
) -> None:
    plain = published(model, tmp_path / "a").path
    said = published(
        model, tmp_path / "b", image_input=ImageInput(format="rgb", layout="nhwc")
    ).path
    for file in ("model.onnx", "golden.npz", "manifest.json"):
        assert (plain / file).read_bytes() == (said / file).read_bytes()


def test_metadata_names_the_format(published: Export, model: keras.Model, tmp_path: Path) -> None:
    def props(**options: Any) -> dict[str, str]:
        bundle = published(model, tmp_path / "b", force=True, image_input=ImageInput(**options))
        return {p.key: p.value for p in onnx.load(bundle.path / "model.onnx").metadata_props}

    assert props(format="bgra")["Image.BitmapPixelFormat"] == "Bgra8"
    camera = props(format="nv12")
    assert "Image.BitmapPixelFormat" not in camera
    assert camera["Image.NominalPixelRange"] == "NominalRange_16_235"
    assert camera["imgsz"] == "[24, 24]"
    assert props(resize="nearest")["imgsz"] == "[24, 24]"


FAULTS: dict[str, tuple[ImageInput, Any, str, Any]] = {
    "red for blue": (
        ImageInput(format="bgr"),
        first,
        "_channels",
        lambda *given: (0, 1, 2),
    ),
    "U for V": (
        ImageInput(format="nv12"),
        color_formats,
        "YUV_U",
        color_formats.YUV_V,
    ),
    "full range for limited": (ImageInput(format="yuyv"), color_formats, "YUV_LUMA", 1 << 20),
    "colours one pixel off": (
        ImageInput(format="yuyv"),
        color_formats,
        "_repeat_columns",
        lambda e, x, right=color_formats._repeat_columns: right(
            e, e("Gather", x, e.constant([0, *range(11)], np.int64), axis=3)
        ),
    ),
    "another resize": (
        ImageInput(resize="bicubic"),
        resize,
        "_bicubic",
        resize._bilinear,
    ),
    "another cubic": (ImageInput(resize="bicubic"), resize, "_KEYS", -0.75),
    "rows one off": (
        ImageInput(resize="nearest"),
        resize,
        "_nearest",
        lambda e, start, extent, target, right=resize._nearest: dataclasses.replace(
            axis := right(e, start, extent, target),
            places=e(
                "Max", e("Sub", axis.places, e.constant([1], np.int64)), e.constant([0], np.int64)
            ),
        ),
    ),
    "no crop": (
        ImageInput(resize="bilinear", crop="center"),
        resize_and_layout,
        "_window",
        lambda e, extent, *rest: extent,
    ),
    "grey of the wrong weights": (
        ImageInput(format="bgr"),
        color_formats,
        "GREY",
        color_formats.GREY[::-1],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_image_input_is_refused(
    published: Export,
    model: keras.Model,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels, module, name, wrong = FAULTS[fault]
    if fault == "grey of the wrong weights":
        x = keras.Input((24, 24, 1))
        y = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(x))
        model = healthy(keras.Model(x, keras.layers.Dense(5, activation="softmax")(y)), "tf")
    assert published(model, tmp_path / "right", image_input=pixels).manifest["parity"]["passed"]
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(ParityFailed):
        published(model, tmp_path / "wrong", image_input=pixels)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("activation", ["softmax", None])
def test_best_classes_of_a_bundle(published: Export, activation: Any, tmp_path: Path) -> None:
    x = keras.Input((24, 24, 3))
    y = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    model = healthy(keras.Model(x, keras.layers.Dense(9, activation=activation)(y)), "tf")
    bundle = published(model, tmp_path / "b", top_k=3, batch="dynamic")
    kind = "probabilities" if activation else "logits"
    of = {"kind": kind, "classes": 9}
    assert [
        (row["name"], row["kind"], row["dtype"], row["shape"], row["of"])
        for row in bundle.manifest["outputs"]
    ] == [
        ("indices", "indices", "int64", [None, 3], of),
        ("scores", "scores", "float32", [None, 3], of),
    ]
    measured = set(bundle.manifest["parity"]["outputs"])
    assert measured == {"indices", "scores", *(["logits"] if activation else [])}
    drawn = draw_images(5, 24, 24, seed=4)
    (every,) = keras_answers(model, [prepare(drawn, "tf")])
    given = runtime.load(bundle.path).run(drawn)
    np.testing.assert_array_equal(given["indices"], np.argsort(-every, axis=-1)[:, :3])
    np.testing.assert_allclose(given["scores"], -np.sort(-every, axis=-1)[:, :3], atol=1e-5)
    with np.load(bundle.path / "golden.npz") as golden:
        assert golden["scores"].shape == (37, 9)  # 32 ordinary images and 5 hard ones
        np.testing.assert_array_equal(
            golden["indices"], np.argsort(-golden["scores"], axis=-1)[:, :3]
        )
    assert runtime.verify(bundle.path).passed


@pytest.mark.parametrize("fault", ["least for best", "another class"])
def test_wrong_best_classes_are_refused(
    published: Export,
    model: keras.Model,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(output: str, count: int) -> Pass:
        @Pass
        def add_top_k(model: ir.Model) -> None:
            ranking.add_top_k(output, count).edit(model)
            (node,) = [node for node in model.graph if node.op_type == "TopK"]
            if fault == "least for best":
                node.attributes["largest"] = ir.AttrInt64("largest", 0)
                return
            indices = node.outputs[1]
            classes = edit.numbers(model.graph, "classes", np.asarray([9]))
            other = ir.node("Mod", [indices, classes], name="Mod")
            edit.like(other.outputs[0], indices)
            edit.take_over(indices, other.outputs[0])
            other.replace_input_with(0, indices)
            model.graph.append(other)

        return add_top_k

    monkeypatch.setattr(pipeline, "add_top_k", wrong)
    with pytest.raises(ParityFailed):
        published(model, tmp_path / "b", top_k=10)


@pytest.mark.parametrize(
    "pixels",
    [
        ImageInput(),
        ImageInput(format="bgra", layout="nchw", dtype="float32"),
        ImageInput(format="nv12", resize="nearest"),
        ImageInput(format="yuyv", resize="bilinear", crop="center"),
        ImageInput(format="gray"),
    ],
    ids=lambda p: p.form,
)
def test_the_runtime_classifies_images_of_the_format(
    published: Export, model: keras.Model, pixels: ImageInput, tmp_path: Path
) -> None:
    """The runtime brings an image of odd size into the form that the bundle takes."""
    (drawn,) = draw_images(1, 41, 57, seed=3)
    Image.fromarray(drawn).save(tmp_path / "image.png")
    bundle = published(model, tmp_path / "b", image_input=pixels, top_k=4)
    found = runtime.load(bundle.path).classify(tmp_path / "image.png")
    image = Image.open(tmp_path / "image.png")
    if pixels.form == "gray":
        image = image.convert("L")
    seen = np.asarray(image).reshape(*image.size[::-1], -1)
    if pixels.resize is None:  # as image_dataset_from_directory does
        floats = keras.ops.image.resize(
            seen.astype("float32"), (24, 24), data_format="channels_last"
        )
        seen = np.asarray(floats)
        seen = seen if pixels.dtype == "float32" else np.rint(seen).astype(np.uint8)
    rows, columns = {"nv12": (2, 2), "yuyv": (1, 2)}.get(pixels.form, (1, 1))
    seen = seen[: len(seen) // rows * rows, : seen.shape[1] // columns * columns]
    raw = encode(seen, pixels.color, pixels.layout.upper(), pixels.dtype)[None]
    (every,) = answers(model, raw, pixels)
    assert [row.index for row in found] == np.argsort(-every)[:4].tolist()
    np.testing.assert_allclose([row.score for row in found], -np.sort(-every)[:4], atol=1e-5)
    with pytest.raises(runtime.BadInput, match="returns its 4 best classes, but 5 were requested"):
        runtime.load(bundle.path).classify(tmp_path / "image.png", top_k=5)


def test_images_too_small_for_their_format_are_refused(
    published: Export, model: keras.Model, tmp_path: Path
) -> None:
    bundle = published(
        model, tmp_path / "b", image_input=ImageInput(format="nv12", resize="nearest")
    )
    with pytest.raises(runtime.BadInput, match="an image of 1 x 7 is too small for NV12"):
        runtime.load(bundle.path).classify(np.zeros((1, 7, 3), np.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "nv21"}, "no input format is called 'nv21'"),
        ({"resize": "cubic"}, "no resize is called 'cubic'"),
        ({"crop": "center"}, "the crop 'center' needs a resize"),
        ({"format": "nv12", "layout": "nchw"}, "nv12 is bytes in an order of its own"),
        ({"format": "yuyv", "dtype": "float32"}, "yuyv is bytes in an order of its own"),
    ],
)
def test_unknown_and_contradictory_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        ImageInput(**options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("size", "name"), [((25, 24), "nv12"), ((24, 25), "nv12"), ((24, 25), "yuyv")]
)
def test_odd_sizes_are_refused(
    published: Export, size: tuple[int, int], name: Any, tmp_path: Path
) -> None:
    x = keras.Input((*size, 3))
    model = keras.Model(x, keras.layers.Conv2D(2, 3)(x))
    with pytest.raises(BadArgument, match=f"{name} has no images of {size[0]} x {size[1]}"):
        published(model, tmp_path / "b", image_input=ImageInput(format=name))
    resized = published(
        model, tmp_path / "b", image_input=ImageInput(format=name, resize="nearest")
    )
    assert resized.manifest["preprocessing"]["size"] == list(size)


def test_image_options_of_a_model_without_images_are_refused(tmp_path: Path) -> None:
    x = keras.Input((5,))
    model = keras.Model(x, keras.layers.Dense(2)(x))
    with pytest.raises(BadArgument, match="has no image input to decode or resize"):
        export(model, "cpu-fp32", output=tmp_path / "b", image_input=ImageInput(resize="nearest"))


@pytest.mark.parametrize("count", [0, 11])
def test_top_k_beyond_the_classes_is_refused(
    published: Export, model: keras.Model, count: int, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=f"the best {count} classes cannot be taken of top"):
        published(model, tmp_path / "b", top_k=count)


def test_top_k_of_a_model_without_classes_is_refused(
    published: Export, model: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match="the best classes are for the task classify, and this"):
        published(model, tmp_path / "b", top_k=1, output_layers=["pool"])


def test_the_command_line_takes_every_image_option(
    model: keras.Model,
    verify_in_cpp: Verify,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.save(tmp_path / "small.keras")
    words = ["--input-format", "nv12", "--resize", "bilinear", "--crop", "center", "--top-k", "2"]
    where = ["--target", "cpu-fp32", "--output", str(tmp_path / "b"), "--preprocess", "tf"]
    assert main([str(tmp_path / "small.keras"), *where, *words, "--quiet"]) == 0
    verify_in_cpp(tmp_path / "b")
    shown = capsys.readouterr().out
    assert "image uint8 [1, H, W, 1] NV12" in shown
    assert "indices int64 [1, 2]" in shown
    said = json.loads((tmp_path / "b" / "manifest.json").read_text(encoding="utf-8"))
    assert (said["preprocessing"]["resize"], said["preprocessing"]["crop"]) == (
        "bilinear",
        "center",
    )
    Image.fromarray(draw_images(1, 33, 45)[0]).save(tmp_path / "image.jpg")
    assert main(["run", str(tmp_path / "b"), str(tmp_path / "image.jpg"), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["pictures"]
    assert len(answer["predictions"]) == 2
    assert main(["vgg16", "--target", "cpu-fp32", "--crop", "center"]) == 2
    assert "the crop 'center' needs a resize" in capsys.readouterr().err

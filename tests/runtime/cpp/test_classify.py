"""The C++ runtime prepares images exactly as Python does, from files and from memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import PIL
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from kexport.runtime import BadImage, BadInput, load
from kexport.runtime.cli import main
from kexport.runtime.image import pixels
from kexport.runtime.manifest_schema import FITS, METHODS
from kexport.runtime.pixel_formats import encode
from kexport.runtime.resize import Resize

FORMATS = ("RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12", "YUYV")
CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GRAY": 1, "NV12": 1, "YUYV": 2}


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def echo(build, reseal, rewrite) -> Callable[..., Path]:
    """Return a function that builds a bundle whose scores are the values of its input image."""

    def make(color: str, layout: str, dtype: str, height: Any, width: Any, batch: int = 1) -> Path:
        rows = height * 3 // 2 if color == "NV12" and height else height
        sizes = [rows, width, CHANNELS[color]]
        shape = [batch, *(sizes if layout == "NHWC" else [sizes[2], *sizes[:2]])]
        count = None if height is None else int(np.prod(shape[1:]))
        bundle: Path = build(f"{color}-{layout}-{dtype}-{height}-{batch}", labels=None)
        kind = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}[dtype]
        flat = numpy_helper.from_array(np.array([batch, -1], np.int64), "flat")
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
                helper.make_node("Reshape", ["values", "flat"], ["probabilities"]),
            ],
            "echo",
            [helper.make_tensor_value_info("image", kind, [size or "?" for size in shape])],
            [helper.make_tensor_value_info("probabilities", 1, [batch, count or "n"])],
            [flat],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.save(model, bundle / "model.onnx")
        entry = {"shape": shape, "layout": layout, "dtype": dtype, "color": color}

        def describe(data: Any) -> None:
            data["inputs"][0].update(entry)
            data["outputs"][0]["shape"] = [batch, count]

        rewrite(bundle, describe)
        reseal(bundle)
        return bundle

    return make


@pytest.fixture
def arrived(sanitized, tmp_path: Path) -> Callable[..., np.ndarray | str]:
    """Return a function for the values that an echo bundle receives, or the program's error."""

    def run(bundle: Path, image: np.ndarray, form: str, gap: int = 0) -> np.ndarray | str:
        height, width = image.shape[:2]
        rows = image.reshape(height, -1)
        if gap:
            rows = np.concatenate([rows, np.full((height, gap), 7, np.uint8)], axis=1)
        (tmp_path / "pixels").write_bytes(rows.tobytes())
        if form == "NV12":
            height = height * 2 // 3
        stride = rows.shape[1] if gap else 0
        numbers = [width, height, stride, FORMATS.index(form), 100_000]
        done = sanitized.run("driver", "classify", bundle, tmp_path / "pixels", *numbers)
        if done.status != 0:
            assert done.status == 16
            return done.err
        found = [line.split("\t") for line in done.out.splitlines()]
        values = np.zeros(len(found))
        for index, _, score in found:
            values[int(index)] = float(score)
        return values

    return run


def from_python(bundle: Path, rgb: np.ndarray) -> np.ndarray:
    found = load(bundle).classify(rgb, top_k=100_000)
    return np.array([item.score for item in sorted(found, key=lambda item: item.index)])


@pytest.mark.parametrize("color", FORMATS)
@pytest.mark.parametrize(("layout", "dtype"), [("NHWC", "uint8"), ("NCHW", "float32")])
def test_every_input_format_of_a_model(echo, arrived, color: str, layout: str, dtype: str):
    bundle = echo(color, layout, dtype, 8, 6)
    image = noise(13, 11)
    np.testing.assert_array_equal(arrived(bundle, image, "RGB"), from_python(bundle, image))


@pytest.mark.parametrize("gap", [0, 5])
@pytest.mark.parametrize("form", ["RGB", "BGR", "RGBA", "BGRA"])
def test_every_pixel_format_of_a_caller(echo, arrived, form: str, gap: int):
    bundle = echo("RGB", "NHWC", "uint8", 8, 6)
    image = noise(9, 7)
    given = encode(image, form, "NHWC", "uint8")
    expected = from_python(bundle, image)
    np.testing.assert_array_equal(arrived(bundle, given, form, gap), expected)


@pytest.mark.parametrize("color", ["RGB", "GRAY"])
def test_grey_images(echo, arrived, color: str):
    bundle = echo(color, "NHWC", "uint8", 8, 6)
    grey = noise(9, 7, 1)
    np.testing.assert_array_equal(arrived(bundle, grey, "GRAY"), from_python(bundle, grey))


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("color", FORMATS)
def test_pixels_in_the_models_format_are_not_changed(echo, arrived, color: str, gap: int):
    bundle = echo(color, "NHWC", "uint8", 8, 6)
    rgb = noise(8, 6)
    source = noise(8, 6, 1) if color == "GRAY" else rgb
    given = encode(source, color, "NHWC", "uint8")
    found = arrived(bundle, given.reshape(given.shape[0], 6, -1), color, gap)
    np.testing.assert_array_equal(found, given.ravel())


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (2, 3), (7, 5), (8, 6), (9, 7), (80, 60), (101, 997), (1, 500)]
)
def test_nearest_resizing_equals_pillow(echo, arrived, height: int, width: int):
    bundle = echo("RGB", "NHWC", "uint8", 17, 23)
    image = noise(height, width)
    found = arrived(bundle, image, "RGB")
    np.testing.assert_array_equal(found, pixels(image, (17, 23)).ravel())


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_fit_equals_python(echo, arrived, rewrite, method: str, fit: str):
    if method.startswith("pil-") and int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("former releases of Pillow filter along the rows first, whatever the sizes")
    resize = {"method": method, "fit": fit}
    whole = echo("RGB", "NHWC", "uint8", 17, 23)
    rewrite(whole, lambda data: data["inputs"][0].update(resize=resize))
    for height, width in ((37, 53), (64, 20), (34, 46)):
        image = noise(height, width)
        expected = pixels(image, (17, 23), "RGB", Resize(method, fit)).ravel()
        np.testing.assert_array_equal(arrived(whole, image, "RGB"), expected, f"{height} {width}")
    exact = echo("GRAY", "NCHW", "float32", 17, 23)
    rewrite(exact, lambda data: data["inputs"][0].update(resize=resize))
    image = noise(29, 61)
    expected = pixels(image, (17, 23), "GRAY", Resize(method, fit), "float32")
    np.testing.assert_array_equal(arrived(exact, image, "RGB"), expected.ravel())


@pytest.mark.parametrize("color", FORMATS)
def test_unrounded_pixels_in_every_format(echo, arrived, rewrite, color: str):
    bundle = echo(color, "NCHW", "float32", 8, 6)
    resize = {"method": "tf-bilinear", "fit": "stretch"}
    rewrite(bundle, lambda data: data["inputs"][0].update(resize=resize))
    image = noise(13, 11)
    found = arrived(bundle, image, "RGB")
    np.testing.assert_array_equal(found, from_python(bundle, image))
    assert (found == np.rint(found)).all() == (color in ("NV12", "YUYV"))


@pytest.mark.parametrize("color", ["RGB", "NV12"])
def test_free_sizes_keep_the_image(echo, arrived, color: str):
    bundle = echo(color, "NHWC", "uint8", None, None)
    image = noise(7, 9)
    np.testing.assert_array_equal(arrived(bundle, image, "RGB"), from_python(bundle, image))


def test_a_batch_is_padded(echo, arrived):
    bundle = echo("RGB", "NHWC", "uint8", 8, 6, batch=3)
    image = noise(8, 6)
    np.testing.assert_array_equal(arrived(bundle, image, "RGB"), image.ravel())


@pytest.mark.parametrize("form", ["NV12", "YUYV"])
def test_video_that_does_not_fit(echo, arrived, form: str):
    told = arrived(echo("RGB", "NHWC", "uint8", 8, 6), noise(12, 6, CHANNELS[form]), form)
    assert "does not fit the input 'image', uint8 [1, 8, 6, 3] in RGB" in told


def test_logits_and_labels(sanitized, build, tmp_path: Path):
    bundle = build(outputs=("logits",))
    image = np.full((8, 6, 3), (20, 200, 40), np.uint8)
    (tmp_path / "pixels").write_bytes(image.tobytes())
    done = sanitized.run("driver", "classify", bundle, tmp_path / "pixels", 6, 8, 0, 0, 2)
    expected = load(bundle).classify(image, top_k=2)
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [(int(row[0]), row[1]) for row in rows] == [(e.index, e.label) for e in expected]
    np.testing.assert_allclose([float(row[2]) for row in rows], [e.score for e in expected], 1e-15)


def test_features_are_not_scores(sanitized, build, tmp_path: Path):
    bundle = build(outputs=("features",), labels=None)
    (tmp_path / "pixels").write_bytes(bytes(8 * 6 * 3))
    done = sanitized.run("driver", "classify", bundle, tmp_path / "pixels", 6, 8, 0, 0, 0)
    with pytest.raises(BadInput) as caught:
        load(bundle).classify(np.zeros((8, 6, 3), np.uint8))
    assert (done.status, done.err) == (16, f"error: {caught.value}\n")


def saved(folder: Path) -> list[Path]:
    """Images of every kind that the programs open."""
    rgba = Image.fromarray(noise(37, 53, 4))
    for mode in ("RGB", "RGBA", "P", "L", "LA", "1"):
        rgba.convert(mode).save(folder / f"{mode}.png")
    rgba.convert("RGB").quantize(16).save(folder / "transparent.png", transparency=3)
    rgba.convert("RGB").quantize(4).save(folder / "four.png", bits=2)
    smooth = Image.fromarray(noise(9, 13)).resize((130, 90), Image.Resampling.BICUBIC)
    for subsampling in (0, 1, 2):
        smooth.save(folder / f"{subsampling}.jpg", subsampling=subsampling, quality=80)
    smooth.save(folder / "progressive.jpg", progressive=True)
    smooth.convert("L").save(folder / "grey.jpg")
    smooth.convert("CMYK").save(folder / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    smooth.save(folder / "turned.jpg", exif=exif)
    cv2.imwrite(str(folder / "16 bits.png"), noise(9, 13).astype(np.uint16) * 257 + 99)
    smooth.save(folder / "colour.ppm")
    smooth.convert("L").save(folder / "grey.pgm")
    return sorted(folder.iterdir())


def test_files_are_decoded_as_pillow_does(sanitized, tmp_path: Path):
    for path in saved(tmp_path):
        head, _, raw = sanitized.run("driver", "decode", path).raw.partition(b"\n")
        width, height, channels = map(int, head.split())
        found = np.frombuffer(raw, np.uint8).reshape(height, width, channels)
        expected = np.asarray(Image.open(path).convert("RGB" if channels == 3 else "L"))
        np.testing.assert_array_equal(found, expected.reshape(found.shape), path.name)


@pytest.mark.parametrize(("jpeg", "color"), [("fast", "RGB"), ("fast_grey", "GRAY")])
def test_jpeg_files_are_decoded_as_tensorflow_does(
    sanitized, tmp_path: Path, jpeg: str, color: str
):
    """Python's pixels are those of tf.io.decode_jpeg: tests/runtime/test_jpeg.py."""
    for path in (path for path in saved(tmp_path) if path.suffix == ".jpg"):
        head, _, raw = sanitized.run("driver", "decode", path, jpeg).raw.partition(b"\n")
        width, height, channels = map(int, head.split())
        found = np.frombuffer(raw, np.uint8).reshape(height, width, channels)
        whole = found.repeat(3, axis=2) if color == "RGB" and channels == 1 else found
        if color == "GRAY" and channels == 3:
            continue  # CMYK, whose luma the library weighs
        expected = pixels(path, (None, None), color, Resize("tf-bilinear"))
        np.testing.assert_array_equal(whole, expected, path.name)


@pytest.mark.parametrize("program", ["kexport-classify", "kexport-predict"])
def test_a_grey_png_of_16_bits(sanitized, bundle: Path, rewrite, tmp_path: Path, program: str):
    path = tmp_path / "deep.png"
    Image.fromarray(noise(20, 30, 1)[:, :, 0].astype(np.uint16) * 256 + 77).save(path)
    done = sanitized.run(program, bundle, path)
    assert (done.status, done.out) == (15, "")
    with pytest.raises(BadImage) as caught:
        load(bundle).classify(path)
    assert f"error: {caught.value}\n" in done.err
    resize = {"method": "tf-bilinear", "fit": "stretch"}
    rewrite(bundle, lambda data: data["inputs"][0].update(resize=resize))
    done = sanitized.run(program, bundle, path, "-k", "1")
    best = load(bundle).classify(path, top_k=1)[0]
    assert done.out.split() == [str(path), best.label, f"{best.score:.4f}"]


def test_an_image_of_many_pixels_is_not_damaged(sanitized, bundle: Path, tmp_path: Path):
    Image.new("L", (20000, 20000)).save(tmp_path / "large.png")
    done = sanitized.run("kexport-classify", bundle, tmp_path / "large.png")
    assert done.status == 15
    assert "large.png is too large: it has more than 178956970 pixels" in done.err


def test_names_cannot_control_the_terminal(plain, build, tmp_path: Path, capsys):
    bundle = build(labels=["\x1b[2J", "\x9b31m", "\u202ea", "b\rc", "[red]"])
    path = tmp_path / "a\x1b]0;x\x07\nb.png"
    Image.fromarray(noise(10, 10)).save(path)
    assert main(bundle, [str(path)]) == 0
    expected = capsys.readouterr().out
    assert plain.run("kexport-classify", bundle, path).out == expected
    assert r"a\x1b]0;x\x07\x0ab.png" in expected
    assert all(
        name in expected for name in (r"\x1b[2J", r"\x9b31m", r"\u202ea", r"b\x0dc", "[red]")
    )


def test_faults_cannot_control_the_terminal(plain, bundle: Path, tmp_path: Path):
    done = plain.run("kexport-classify", bundle, tmp_path / "a\x1b[2J.png")
    assert done.status == 15
    assert done.err.startswith(rf"error: {tmp_path}/a\x1b[2J.png cannot be opened")
    assert r"no option named --\x1b[2J" in plain.run("kexport-verify", bundle, "--\x1b[2J").err


def test_the_table_equals_that_of_run_py(plain, bundle: Path, tmp_path: Path, capsys):
    (tmp_path / "images").mkdir()
    names = [str(path) for path in saved(tmp_path / "images")]
    assert main(bundle, [*names, "-k", "3"]) == 0
    done = plain.run("kexport-classify", bundle, *names, "-k", "3")
    assert (done.status, done.err) == (0, "")
    assert done.out == capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["png", "jpg", "ppm"])
def test_truncated_images(sanitized, bundle: Path, tmp_path: Path, suffix: str):
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise(60, 80)).save(whole)
    content = whole.read_bytes()
    paths = [tmp_path / f"{share}.{suffix}" for share in (0, 2, 30, 60, 95)]
    for path in paths:
        path.write_bytes(content[: len(content) * int(path.stem) // 100])
    done = sanitized.run("kexport-classify", bundle, *paths, whole)
    assert done.status == 15
    assert done.err.count("error: ") == 5
    assert done.out.splitlines()[0] == str(whole)


def test_files_that_are_not_images(sanitized, bundle: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("not an image")
    done = sanitized.run("kexport-classify", bundle, tmp_path / "notes.txt", tmp_path / "none.png")
    assert (done.status, done.out) == (15, "")
    assert "notes.txt is not an image in JPEG, PNG or PPM" in done.err
    assert "none.png cannot be opened: No such file or directory" in done.err


@pytest.mark.parametrize("words", [["a"], ["a", "b", "-k", "0"], ["a", "b", "-k", "x"]])
def test_wrong_usage(plain, words: list[str]):
    assert plain.run("kexport-classify", *words).status == 2

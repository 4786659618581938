"""Images are loaded exactly as by Keras' `load_img` and `img_to_array`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kexport.runtime import BadImage, BadInput
from kexport.runtime.image import pixels
from kexport.runtime.resize import Resize

SIZE = (24, 20)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # on the damage done below


def gradient(height: int = 37, width: int = 53, channels: int = 4) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 5, y * 7, (x + y) * 3, 255 - x * 2]
    noise = np.random.default_rng(0).integers(0, 40, (height, width, channels))
    return ((np.stack(planes[:channels], -1) + noise) % 256).astype(np.uint8)


def save(mode: str, path: Path) -> Path:
    rgba = Image.fromarray(gradient())
    if mode == "P transparent":
        image = rgba.convert("RGB").quantize(16)
        image.save(path, transparency=3)
    elif mode == "I;16":
        Image.fromarray(gradient()[:, :, 0].astype(np.uint16) * 256 + 77).save(path)
    elif mode == "RGB 16":
        cv2.imwrite(str(path), gradient(channels=3).astype(np.uint16) * 256 + 77)
    else:
        rgba.convert(mode).save(path)
    return path


@pytest.fixture(scope="module")
def keras_utils():
    return pytest.importorskip("keras").utils


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "P transparent", "L", "LA", "1"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_pngs_equal_keras(keras_utils, tmp_path: Path, mode: str, interpolation: str):
    path = save(mode, tmp_path / "image.png")
    image = keras_utils.load_img(path, target_size=SIZE, interpolation=interpolation)
    found = pixels(path, SIZE, "RGB", Resize(f"pil-{interpolation}"))
    assert (found.dtype, found.shape) == (np.uint8, (*SIZE, 3))
    np.testing.assert_array_equal(found, keras_utils.img_to_array(image))


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "P", "P transparent", "L", "LA", "1", "I;16", "RGB 16"]
)
def test_pngs_equal_those_that_keras_trains_on(keras_utils, tmp_path: Path, mode: str):
    (tmp_path / "class").mkdir()
    save(mode, tmp_path / "class" / "image.png")
    (wanted,) = keras_utils.image_dataset_from_directory(
        tmp_path, labels=None, image_size=SIZE, batch_size=1, verbose=False
    )
    found = pixels(tmp_path / "class" / "image.png", SIZE, "RGB", Resize("tf-bilinear"), "float32")
    np.testing.assert_array_equal(found, wanted[0])


def test_bytes_are_the_rounded_values(tmp_path: Path):
    path = save("RGB", tmp_path / "image.png")
    whole = pixels(path, SIZE, "RGB", Resize("tf-bilinear"))
    exact = pixels(path, SIZE, "RGB", Resize("tf-bilinear"), "float32")
    assert (whole.dtype, exact.dtype) == (np.uint8, np.float32)
    assert np.abs(exact - whole).max() <= 0.5
    assert (exact != whole).any()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs_equal_keras_whatever_exif_says(keras_utils, tmp_path: Path, mode: str):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    image = Image.fromarray(gradient(channels=3)).convert(mode)
    image.save(tmp_path / "image.jpg", exif=exif)
    expected = keras_utils.img_to_array(
        keras_utils.load_img(tmp_path / "image.jpg", target_size=SIZE)
    )
    np.testing.assert_array_equal(pixels(tmp_path / "image.jpg", SIZE), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1"])
def test_grey_equals_keras(keras_utils, tmp_path: Path, mode: str):
    path = save(mode, tmp_path / "image.png")
    image = keras_utils.load_img(
        path, color_mode="grayscale", target_size=SIZE, interpolation="bilinear"
    )
    found = pixels(path, SIZE, "GRAY", Resize("pil-bilinear"))
    assert found.shape == (*SIZE, 1)
    np.testing.assert_array_equal(found, keras_utils.img_to_array(image))


@pytest.mark.parametrize("shape", [(37, 53), (37, 53, 1), (37, 53, 3), (37, 53, 4)])
@pytest.mark.parametrize("color", ["RGB", "GRAY"])
def test_an_array_gives_the_same_pixels_as_its_file(
    tmp_path: Path, shape: tuple[int, ...], color: str
):
    array = gradient()[:, :, : shape[2] if len(shape) == 3 else 1].reshape(shape)
    Image.fromarray(array.squeeze()).save(tmp_path / "image.png")
    by_file = pixels(tmp_path / "image.png", SIZE, color)
    np.testing.assert_array_equal(pixels(array, SIZE, color), by_file)


@pytest.mark.parametrize("size", [(None, None), (None, 20), (24, None), (37, 53)])
def test_free_sizes_keep_the_image(size: tuple[int | None, int | None]):
    array = gradient(channels=3)
    if size in ((None, None), (37, 53)):
        np.testing.assert_array_equal(pixels(array, size), array)
        np.testing.assert_array_equal(pixels(Image.fromarray(array), size), array)
    else:
        assert pixels(Image.fromarray(array), size).shape == (37, 53, 3)


def test_the_callers_image_is_not_changed(tmp_path: Path):
    image = Image.open(save("P", tmp_path / "image.png"))
    pixels(image, SIZE)
    assert (image.mode, image.size) == ("P", (53, 37))


@pytest.mark.parametrize("color", ["RGB", "GRAY"])
def test_a_grey_png_of_16_bits_is_refused_where_keras_clips_it(tmp_path: Path, color: str):
    path = save("I;16", tmp_path / "image.png")
    with pytest.raises(BadImage, match=r"image.png is grey with 16 bits, which Keras' load_img"):
        pixels(path, SIZE, color)


@pytest.mark.parametrize("method", ["tf-bilinear", "cv2-linear"])
def test_the_high_byte_of_16_bits_is_taken_where_the_library_does(tmp_path: Path, method: str):
    path = save("I;16", tmp_path / "image.png")
    high = gradient()[:, :, :1]
    for color, channels in (("RGB", 3), ("GRAY", 1)):
        found = pixels(path, (37, 53), color, Resize(method))
        np.testing.assert_array_equal(found, high.repeat(channels, axis=2))
    as_opencv = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(as_opencv, high[:, :, 0])


@pytest.mark.parametrize("method", ["pil-nearest", "tf-bilinear", "cv2-linear"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int32])
def test_tiffs_of_more_than_8_bits_are_refused(tmp_path: Path, method: str, dtype: type):
    Image.fromarray(gradient()[:, :, 0].astype(dtype)).save(tmp_path / "image.tif")
    with pytest.raises(BadImage, match=r"has (floating-point|16-bit or 32-bit) values") as caught:
        pixels(tmp_path / "image.tif", SIZE, "RGB", Resize(method))
    assert caught.value.hint == "convert it to 8 bits a value first, as for training"


@pytest.mark.parametrize("keep", [0, 1, 8, 40, 200, 0.5, 0.95])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
def test_a_truncated_image(tmp_path: Path, suffix: str, keep: float):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(gradient(200, 300, 3)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(BadImage, match=r"image\.\w+ is (damaged|not an image)") as caught:
        pixels(path, SIZE)
    assert caught.value.hint == "check that the file opens in an image viewer"


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.png", "No such file"), ("folder", "Is a directory")]
)
def test_files_that_cannot_be_opened(tmp_path: Path, name: str, reason: str):
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadImage, match=f"{name} cannot be opened: {reason}"):
        pixels(tmp_path / name, SIZE)


def test_a_text_file_is_not_an_image(tmp_path: Path):
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(BadImage, match="is not an image of a known format"):
        pixels(tmp_path / "notes.png", SIZE)


def test_an_image_too_large_for_the_memory(tmp_path: Path, monkeypatch):
    path = save("RGB", tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadImage, match=r"image.png is too large: .* decompression bomb") as caught:
        pixels(path, SIZE)
    assert caught.value.hint == "scale it down first"


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 8, 6), np.uint8),
        np.zeros((1, 8, 6, 3), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((8, 6, 3)),
    ],
)
def test_arrays_that_are_not_images(array: np.ndarray):
    with pytest.raises(BadInput, match="an image must be uint8"):
        pixels(array, SIZE)


@pytest.mark.parametrize("value", [None, 3, b"image.png", [[1, 2]]])
def test_values_that_are_not_images(value: object):
    with pytest.raises(BadInput, match="an image cannot be a") as caught:
        pixels(value, SIZE)
    assert caught.value.hint == "pass a path, a PIL image or a uint8 array"

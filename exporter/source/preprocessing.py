"""Reference preprocessing of images in NumPy, Pillow and Keras, which the graph has to match."""

from __future__ import annotations

import keras
import numpy as np
from keras.applications.imagenet_utils import preprocess_input
from PIL import Image

from kexport.arrays import Array
from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Custom, Preprocessing


def prepare(images: Array, mode: Preprocessing) -> Array:
    """Preprocess images [N, H, W, C] in 0..255, RGB or grey; returns float32.

    The modes "tf", "caffe" and "torch" are those of `preprocess_input`; "unit" divides by 255.
    """
    floats = images.astype(np.float32)
    if isinstance(mode, Custom):
        scale, mean, std = (
            np.asarray(each, np.float32) for each in (mode.scale, mode.mean, mode.std)
        )
        return np.asarray(((floats[..., ::-1] if mode.bgr else floats) * scale - mean) / std)
    if mode == "none":
        return floats
    if mode == "unit":
        return floats / np.float32(255)
    return np.asarray(preprocess_input(floats, data_format="channels_last", mode=mode))


def decode(raw: Array, pixels: ImageInput, size: tuple[int, int], channels: int) -> Array:
    """Decode and resize images as they arrive; `preprocess_input` comes after this.

    NumPy decodes and drops alpha, Pillow converts to gray and resizes to the nearest pixel, and
    `keras.ops.image.resize(antialias=False)` resizes with the other interpolations.

    Args:
        raw: images as they arrive, batch first.
        pixels: the format in which they arrive.
        size: height and width of the model's images.
        channels: 3, or 1 for gray.

    Returns:
        [N, height, width, channels] in 0..255, RGB: uint8, or float32 where the images arrived in
        float32 or were interpolated.
    """
    images = _of_channels(_rgb(raw, pixels), channels)
    if pixels.resize is None:
        return images
    top, left, height, width = _window(images.shape[1], images.shape[2], size, pixels.crop)
    if pixels.resize == "nearest":
        box = (left, top, left + width, top + height)
        return np.stack([_nearest(image, size, box) for image in images])
    cropped = images[:, top : top + height, left : left + width].astype(np.float32)
    resized = keras.ops.image.resize(
        cropped,
        size,
        interpolation=pixels.resize,
        antialias=False,
        data_format="channels_last",
    )
    return np.asarray(keras.ops.convert_to_numpy(resized))


def _rgb(raw: Array, pixels: ImageInput) -> Array:
    """Return the images as RGB or gray, [N, H, W, 3 or 1]."""
    if pixels.form == "nv12":
        height = raw.shape[1] * 2 // 3
        shared = raw[:, height:].reshape(len(raw), height // 2, -1, 2)
        return rgb_from_yuv(raw[:, :height, :, 0], shared.repeat(2, axis=1).repeat(2, axis=2))
    if pixels.form == "yuyv":
        shared = raw[..., 1].reshape(*raw.shape[:2], -1, 2)
        return rgb_from_yuv(raw[..., 0], shared.repeat(2, axis=2))
    images = np.moveaxis(raw, 1, -1) if pixels.layout == "nchw" else raw
    return images[..., 2::-1] if pixels.form in ("bgr", "bgra") else images[..., :3]


def rgb_from_yuv(luma: Array, chroma: Array) -> Array:
    """Convert Y [...] and U, V [..., 2] to uint8 RGB [..., 3] by BT.601, rounded as in OpenCV.

    The range is limited: R = 1.164 (Y - 16) + 1.596 (V - 128),
    G = 1.164 (Y - 16) - 0.813 (V - 128) - 0.391 (U - 128), B = 1.164 (Y - 16) + 2.018 (U - 128),
    in units of 2^-20; Y below 16 is treated as 16.
    """
    y = np.maximum(luma.astype(np.int32) - 16, 0) * 1220542 + (1 << 19)
    u, v = (chroma[..., i].astype(np.int32) - 128 for i in (0, 1))
    rgb = np.stack([y + 1673527 * v, y - 852492 * v - 409993 * u, y + 2116026 * u], axis=-1)
    return (rgb >> 20).clip(0, 255).astype(np.uint8)


def _of_channels(images: Array, channels: int) -> Array:
    """Convert to gray as Pillow's mode L, or repeat gray for a model of three channels."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return images.repeat(3, axis=-1)
    if images.dtype == np.uint8:
        greys = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
        return np.stack(greys)[..., np.newaxis]
    luma = np.asarray([19595, 38470, 7471]) / 65536
    return np.asarray((images.astype(np.float64) @ luma)[..., np.newaxis], np.float32)


def _window(
    height: int, width: int, size: tuple[int, int], crop: str | None
) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the crop, as in `keras.utils.load_img`."""
    if crop is None:
        return 0, 0, height, width
    tall = min(height, max(width * size[0] // size[1], 1))
    wide = min(width, max(height * size[1] // size[0], 1))
    return (height - tall) // 2, (width - wide) // 2, tall, wide


def _nearest(image: Array, size: tuple[int, int], box: tuple[int, int, int, int]) -> Array:
    """Resize one image with Pillow, channel by channel: it has no three-channel floats."""
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., channel])).resize(
            size[::-1], Image.Resampling.NEAREST, box=box
        )
        for channel in range(image.shape[-1])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)

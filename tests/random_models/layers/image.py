"""Random layers for images: scaling, resizing, cropping, contrast."""

from __future__ import annotations

from typing import Any

from keras import layers

from random_models.kind import IMAGE, SERIES, VECTOR, VOLUME, Kind, Rng, chance, decades, pick

INTERPOLATIONS = ("nearest", "bilinear", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")


def rescaled(rng: Rng, x: Any) -> Any:
    """Scale and shift all values, or each channel on its own."""
    channels = () if chance(rng, 0.5) else (int(x.shape[-1]),)
    scale = rng.normal(size=channels) * decades(rng, -2, 2)
    offset = rng.normal(size=channels) * decades(rng, -2, 2)
    return layers.Rescaling(scale.tolist(), offset.tolist())(x)


def resized(rng: Rng, x: Any) -> Any:
    """Resize with any interpolation, with or without the aspect ratio kept."""
    how = pick(rng, *INTERPOLATIONS)
    ratio = pick(rng, {}, {}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True})
    return layers.Resizing(
        int(rng.integers(3, 14)),
        int(rng.integers(3, 14)),
        interpolation=how,
        antialias=how != "nearest" and how != "area" and chance(rng, 0.3),
        **ratio,
    )(x)


def centred(rng: Rng, x: Any) -> Any:
    """Cut out the middle, or enlarge what is too small."""
    return layers.CenterCrop(int(rng.integers(2, 10)), int(rng.integers(2, 10)))(x)


KINDS = (
    Kind("Rescaling", "merge", (VECTOR, SERIES, IMAGE, VOLUME), rescaled),
    Kind("Resizing", "resize", (IMAGE,), resized),
    Kind("CenterCrop", "resize", (IMAGE,), centred),
    Kind(
        "AutoContrast",
        "resize",
        (IMAGE,),
        lambda rng, x: layers.AutoContrast(value_range=(-3, 3))(x),
        traced=True,
    ),
    Kind(
        "Pipeline",
        "resize",
        (IMAGE,),
        lambda rng, x: layers.Pipeline([layers.RandomFlip(), layers.Rescaling(0.5)])(x),
        traced=True,
    ),
)

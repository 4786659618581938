"""Make the samples of a model: images, or the numbers that its inputs take."""

from __future__ import annotations

import keras

from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Preprocessing, described, fit
from kexport.parity.samples.images import ImageModel, is_image_model, of_images
from kexport.parity.samples.tensors import of_tensors
from kexport.parity.samples.value import Samples
from kexport.source.clone import channels_last


def make(
    model: keras.Model,
    mode: Preprocessing,
    seed: int,
    pixels: ImageInput | None = None,
    batch: int | None = 1,
) -> Samples:
    """Draw images, or numbers for other inputs; the same seed gives the same samples.

    If the graph resizes, the images are larger than the model's and of another aspect ratio.

    Args:
        model: a built Keras model.
        mode: the preprocessing of its images.
        seed: seed of the images or numbers.
        pixels: the images that the graph takes; RGB or grey of the model's size by default.
        batch: the fixed batch of the graph, None if it is open.

    Raises:
        BadArgument: the model has no image input to preprocess or decode, the format has no
            images of its size, or the model cannot compute the extents chosen for its open axes.
    """
    if is_image_model(model):
        return of_images(_image_model(model, mode, seed, pixels or ImageInput()), batch)
    if mode != "none" or pixels not in (None, ImageInput()):
        raise BadArgument(
            f"model {model.name!r} has no image input to "
            + (f"preprocess ({described(mode)})" if mode != "none" else "decode or resize"),
            hint="leave out `recipe.preprocess` and the options of the image input",
        )
    return of_tensors(channels_last(model), seed, batch)


def _image_model(
    model: keras.Model, mode: Preprocessing, seed: int, pixels: ImageInput
) -> ImageModel:
    _, height, width, channels = input_specs(model)[0].shape
    own = (
        height if isinstance(height, int) else None,
        width if isinstance(width, int) else None,
    )
    if None in own and pixels.resize is not None:
        raise BadArgument(
            f"model {model.name!r} takes images of any size, so there is no size to resize to",
            hint="leave out `image_input.resize`, or give an Application its `recipe.input_shape`",
        )
    channels = int(channels)
    fit(mode, channels, model.name)
    return ImageModel(channels_last(model), mode, pixels.of_channels(channels), own, channels, seed)

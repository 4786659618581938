"""Table of the Keras Applications, one row each.

Sizes, limits and preprocessing are those of keras.applications; tests/test_zoo.py compares every
column with Keras itself. Nothing here imports Keras.
"""

import re
from dataclasses import dataclass
from typing import Literal

from kexport.errors import UnknownModel, did_you_mean

Mode = Literal["none", "unit", "tf", "caffe", "torch"]
"""Preprocessing of images by name: that of keras.applications, and x / 255 as "unit"."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Mean and standard deviation of red, green and blue over ImageNet, of pixels in 0..1
(keras.applications.imagenet_utils, mode "torch")."""


@dataclass(frozen=True, slots=True)
class Application:
    """Facts about one Keras Application that are known before it is built.

    `builder` is the function in keras.applications; keras.applications.<module> holds its
    `preprocess_input`. `size` is the default height and width, and `min_size` the smallest that
    the builder takes. `mode` is what `preprocess_input` does to RGB pixels 0..255: "tf" scales to
    -1..1, "caffe" turns to BGR and subtracts the ImageNet mean, "torch" scales to 0..1, subtracts
    the mean and divides by the standard deviation, "none" does nothing. `inside` is true where
    the model itself begins with its preprocessing, as layers.

    `arguments` are those that not every builder has. `bare` is the mode of the preprocessing layers
    that `include_preprocessing=False` leaves out; EfficientNetV2 S, M and L divide by 128
    where "tf" divides by 127.5, and Keras documents -1..1 for both. ImageNet weights exist for the
    widths `alphas`; with the classifier they fit square images of `sizes` only, or any where that
    is empty.
    """

    name: str
    builder: str
    module: str
    size: int
    mode: Mode
    inside: bool = False
    min_size: int = 32
    arguments: tuple[str, ...] = ()
    bare: Mode | None = None
    alphas: tuple[float, ...] = (1.0,)
    sizes: tuple[int, ...] = ()


_INSIDE = True


def _own_size(
    name: str,
    builder: str,
    module: str,
    size: int,
    mode: Mode,
    min_size: int = 32,
) -> Application:
    """Make a row with preprocessing before the model, and ImageNet weights for one size."""
    return Application(name, builder, module, size, mode, min_size=min_size, sizes=(size,))


def _mobilenet_v3(name: str, builder: str) -> Application:
    return Application(
        name,
        builder,
        "mobilenet_v3",
        224,
        "none",
        _INSIDE,
        arguments=("alpha", "minimalistic", "include_preprocessing"),
        bare="tf",
        alphas=(0.75, 1.0),
    )


def _efficientnet(number: int, size: int) -> Application:
    return Application(
        f"efficientnet_b{number}",
        f"EfficientNetB{number}",
        "efficientnet",
        size,
        "none",
        _INSIDE,
        sizes=(size,),
    )


def _efficientnet_v2(kind: str, size: int, bare: Mode) -> Application:
    return Application(
        f"efficientnet_v2_{kind.lower()}",
        f"EfficientNetV2{kind}",
        "efficientnet_v2",
        size,
        "none",
        _INSIDE,
        arguments=("include_preprocessing",),
        bare=bare,
        sizes=(size,),
    )


def _convnext(kind: str) -> Application:
    return Application(
        f"convnext_{kind.lower()}",
        f"ConvNeXt{kind}",
        "convnext",
        224,
        "none",
        _INSIDE,
        arguments=("include_preprocessing",),
        bare="torch",
        sizes=(224,),
    )


_ROWS = (
    _own_size("xception", "Xception", "xception", 299, "tf", min_size=71),
    _own_size("vgg16", "VGG16", "vgg16", 224, "caffe"),
    _own_size("vgg19", "VGG19", "vgg19", 224, "caffe"),
    _own_size("resnet50", "ResNet50", "resnet", 224, "caffe"),
    _own_size("resnet101", "ResNet101", "resnet", 224, "caffe"),
    _own_size("resnet152", "ResNet152", "resnet", 224, "caffe"),
    _own_size("resnet50_v2", "ResNet50V2", "resnet_v2", 224, "tf"),
    _own_size("resnet101_v2", "ResNet101V2", "resnet_v2", 224, "tf"),
    _own_size("resnet152_v2", "ResNet152V2", "resnet_v2", 224, "tf"),
    _own_size("inception_v3", "InceptionV3", "inception_v3", 299, "tf", min_size=75),
    _own_size(
        "inception_resnet_v2", "InceptionResNetV2", "inception_resnet_v2", 299, "tf", min_size=75
    ),
    Application(
        "mobilenet",
        "MobileNet",
        "mobilenet",
        224,
        "tf",
        arguments=("alpha", "depth_multiplier"),
        alphas=(0.25, 0.5, 0.75, 1.0),
        sizes=(128, 160, 192, 224),
    ),
    Application(
        "mobilenet_v2",
        "MobileNetV2",
        "mobilenet_v2",
        224,
        "tf",
        arguments=("alpha",),
        alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        sizes=(96, 128, 160, 192, 224),
    ),
    _mobilenet_v3("mobilenet_v3_small", "MobileNetV3Small"),
    _mobilenet_v3("mobilenet_v3_large", "MobileNetV3Large"),
    _own_size("densenet121", "DenseNet121", "densenet", 224, "torch"),
    _own_size("densenet169", "DenseNet169", "densenet", 224, "torch"),
    _own_size("densenet201", "DenseNet201", "densenet", 224, "torch"),
    _own_size("nasnet_mobile", "NASNetMobile", "nasnet", 224, "tf"),
    _own_size("nasnet_large", "NASNetLarge", "nasnet", 331, "tf"),
    *(_efficientnet(*row) for row in enumerate((224, 240, 260, 300, 380, 456, 528, 600))),
    _efficientnet_v2("B0", 224, "torch"),
    _efficientnet_v2("B1", 240, "torch"),
    _efficientnet_v2("B2", 260, "torch"),
    _efficientnet_v2("B3", 300, "torch"),
    _efficientnet_v2("S", 384, "tf"),
    _efficientnet_v2("M", 480, "tf"),
    _efficientnet_v2("L", 480, "tf"),
    *map(_convnext, ("Tiny", "Small", "Base", "Large", "XLarge")),
)

ZOO: dict[str, Application] = {row.name: row for row in _ROWS}
"""Every Application by its name, in the order of the table."""


def find(name: str) -> Application:
    """Return the Application of that name; case, `-`, `_`, `.` and spaces do not count.

    Raises UnknownModel, with the nearest name as the hint.
    """
    for application in _ROWS:
        if _folded(application.name) == _folded(name):
            return application
    raise UnknownModel(
        f"no Keras Application named '{name}'",
        hint=did_you_mean(name, ZOO) or "list the names with: kexport models",
    )


def _folded(name: str) -> str:
    return re.sub(r"[-_.\s]", "", name).casefold()

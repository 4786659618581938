"""The Keras Applications: one row each.

Sizes, limits and preprocessing are those of keras.applications; tests/test_zoo.py compares every
column with Keras itself. Nothing here imports Keras.
"""

import re
from dataclasses import dataclass
from typing import Literal

from kexport.errors import UnknownModel, did_you_mean

Mode = Literal["tf", "caffe", "torch", "none"]


@dataclass(frozen=True, slots=True)
class Application:
    """What kexport knows of one Keras Application before building it.

    `builder` is the function in keras.applications; keras.applications.<module> holds its
    `preprocess_input`. `size` is the default height and width, and `min_size` the smallest that
    the builder takes. `mode` is what `preprocess_input` does to RGB pixels 0..255: "tf" scales to
    -1..1, "caffe" turns to BGR and subtracts the ImageNet mean, "torch" scales to 0..1, subtracts
    the mean and divides by the standard deviation, "none" does nothing. `inside` says that the
    model itself begins with its preprocessing, as layers.
    """

    name: str
    builder: str
    module: str
    size: int
    mode: Mode
    inside: bool = False
    min_size: int = 32


_INSIDE = True

_ROWS = (
    Application("xception", "Xception", "xception", 299, "tf", min_size=71),
    Application("vgg16", "VGG16", "vgg16", 224, "caffe"),
    Application("vgg19", "VGG19", "vgg19", 224, "caffe"),
    Application("resnet50", "ResNet50", "resnet", 224, "caffe"),
    Application("resnet101", "ResNet101", "resnet", 224, "caffe"),
    Application("resnet152", "ResNet152", "resnet", 224, "caffe"),
    Application("resnet50_v2", "ResNet50V2", "resnet_v2", 224, "tf"),
    Application("resnet101_v2", "ResNet101V2", "resnet_v2", 224, "tf"),
    Application("resnet152_v2", "ResNet152V2", "resnet_v2", 224, "tf"),
    Application("inception_v3", "InceptionV3", "inception_v3", 299, "tf", min_size=75),
    Application(
        "inception_resnet_v2", "InceptionResNetV2", "inception_resnet_v2", 299, "tf", min_size=75
    ),
    Application("mobilenet", "MobileNet", "mobilenet", 224, "tf"),
    Application("mobilenet_v2", "MobileNetV2", "mobilenet_v2", 224, "tf"),
    Application("mobilenet_v3_small", "MobileNetV3Small", "mobilenet_v3", 224, "none", _INSIDE),
    Application("mobilenet_v3_large", "MobileNetV3Large", "mobilenet_v3", 224, "none", _INSIDE),
    Application("densenet121", "DenseNet121", "densenet", 224, "torch"),
    Application("densenet169", "DenseNet169", "densenet", 224, "torch"),
    Application("densenet201", "DenseNet201", "densenet", 224, "torch"),
    Application("nasnet_mobile", "NASNetMobile", "nasnet", 224, "tf"),
    Application("nasnet_large", "NASNetLarge", "nasnet", 331, "tf"),
    Application("efficientnet_b0", "EfficientNetB0", "efficientnet", 224, "none", _INSIDE),
    Application("efficientnet_b1", "EfficientNetB1", "efficientnet", 240, "none", _INSIDE),
    Application("efficientnet_b2", "EfficientNetB2", "efficientnet", 260, "none", _INSIDE),
    Application("efficientnet_b3", "EfficientNetB3", "efficientnet", 300, "none", _INSIDE),
    Application("efficientnet_b4", "EfficientNetB4", "efficientnet", 380, "none", _INSIDE),
    Application("efficientnet_b5", "EfficientNetB5", "efficientnet", 456, "none", _INSIDE),
    Application("efficientnet_b6", "EfficientNetB6", "efficientnet", 528, "none", _INSIDE),
    Application("efficientnet_b7", "EfficientNetB7", "efficientnet", 600, "none", _INSIDE),
    Application("efficientnet_v2_b0", "EfficientNetV2B0", "efficientnet_v2", 224, "none", _INSIDE),
    Application("efficientnet_v2_b1", "EfficientNetV2B1", "efficientnet_v2", 240, "none", _INSIDE),
    Application("efficientnet_v2_b2", "EfficientNetV2B2", "efficientnet_v2", 260, "none", _INSIDE),
    Application("efficientnet_v2_b3", "EfficientNetV2B3", "efficientnet_v2", 300, "none", _INSIDE),
    Application("efficientnet_v2_s", "EfficientNetV2S", "efficientnet_v2", 384, "none", _INSIDE),
    Application("efficientnet_v2_m", "EfficientNetV2M", "efficientnet_v2", 480, "none", _INSIDE),
    Application("efficientnet_v2_l", "EfficientNetV2L", "efficientnet_v2", 480, "none", _INSIDE),
    Application("convnext_tiny", "ConvNeXtTiny", "convnext", 224, "none", _INSIDE),
    Application("convnext_small", "ConvNeXtSmall", "convnext", 224, "none", _INSIDE),
    Application("convnext_base", "ConvNeXtBase", "convnext", 224, "none", _INSIDE),
    Application("convnext_large", "ConvNeXtLarge", "convnext", 224, "none", _INSIDE),
    Application("convnext_xlarge", "ConvNeXtXLarge", "convnext", 224, "none", _INSIDE),
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

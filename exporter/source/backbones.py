"""Known backbones: which Keras Applications a model contains, and how those preprocess."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras

from kexport.keras_graph import flatten_layers
from kexport.zoo import ZOO, Application, Mode

Kernel = tuple[int, ...]

_ANY: Kernel = ()

MARKS: Mapping[str, Mapping[str, Kernel]] = {
    "xception": {"block1_conv1": (3, 3), "block1_conv1_bn": _ANY, "block2_sepconv1": (3, 3)},
    "vgg16": {"block1_conv1": (3, 3), "block1_conv2": (3, 3), "block2_conv2": (3, 3)},
    "vgg19": {"block1_conv1": (3, 3), "block1_conv2": (3, 3), "block3_conv4": (3, 3)},
    "resnet": {"conv1_conv": (7, 7), "conv1_bn": _ANY, "conv2_block1_3_bn": _ANY},
    "resnet_v2": {"conv1_conv": (7, 7), "conv2_block1_preact_bn": _ANY},
    "inception_v3": {"mixed0": _ANY, "mixed1": _ANY},
    "inception_resnet_v2": {"mixed_5b": _ANY, "block35_1_conv": (1, 1)},
    "mobilenet": {"conv1": (3, 3), "conv_dw_1": (3, 3), "conv_pw_1": (1, 1)},
    "mobilenet_v2": {"Conv1": (3, 3), "bn_Conv1": _ANY, "expanded_conv_project": (1, 1)},
    "mobilenet_v3": {"conv": (3, 3), "conv_bn": _ANY, "expanded_conv_project": (1, 1)},
    "densenet": {"conv1_conv": (7, 7), "conv2_block1_concat": _ANY},
    "nasnet": {"stem_conv1": (3, 3), "reduction_conv_1_stem_1": (1, 1)},
    "efficientnet": {"stem_conv": (3, 3), "block1a_dwconv": (3, 3), "block1a_se_reduce": (1, 1)},
    "efficientnet_v2": {"stem_conv": (3, 3), "block1a_project_conv": (3, 3)},
    "convnext": {r"\w+_stem_conv": (4, 4), r"\w+_stage_0_block_0_depthwise_conv": (7, 7)},
}
"""For each module of keras.applications, layers that its models have: patterns of their names, and
the height and width of their kernels. They are early ones, so that a model that uses only the
first blocks of a backbone is known too. A module whose marks are those of an earlier one and more
comes after it. tests/source/test_backbones.py holds every builder to them."""


def backbone(model: keras.Model) -> str | None:
    """Return the module of keras.applications whose layers a model has; None if there is none."""
    kernels = {layer.name: _kernel(layer) for layer in flatten_layers(model)}
    found = [
        module
        for module, marks in MARKS.items()
        if all(_is_in(mark, kernels) for mark in marks.items())
    ]
    return found[-1] if found else None


def modes(module: str) -> dict[Mode, tuple[Application, ...]]:
    """Return the modes in which a module's models take images without preprocessing layers.

    Each comes with the Applications that it is for.
    """
    found: dict[Mode, tuple[Application, ...]] = {}
    for row in ZOO.values():
        if row.module == module:
            mode = row.bare or row.mode
            found[mode] = (*found.get(mode, ()), row)
    return found


def _is_in(mark: tuple[str, Kernel], kernels: Mapping[str, Kernel]) -> bool:
    pattern, kernel = mark
    return any(
        re.fullmatch(pattern, name) and kernel in (_ANY, found) for name, found in kernels.items()
    )


def _kernel(layer: keras.Layer) -> Kernel:
    """Return the height and width of a layer's first weight; `_ANY` where that is no kernel."""
    shape = tuple(layer.weights[0].shape) if layer.weights else ()
    return shape[:2] if len(shape) == 4 else _ANY

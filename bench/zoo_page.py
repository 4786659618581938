"""docs/zoo.md, from the results of bench/zoo.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from machine import machine, versions
from page import error, number, table

from kexport import zoo

Results = Mapping[tuple[str, str], Mapping[str, Any]]

CONVNEXT_BLOCKS = {
    "convnext_tiny": 3 + 3 + 9 + 3,
    "convnext_small": 3 + 3 + 27 + 3,
    "convnext_base": 3 + 3 + 27 + 3,
    "convnext_large": 3 + 3 + 27 + 3,
    "convnext_xlarge": 3 + 3 + 27 + 3,
}
"""Blocks of each ConvNeXt (Liu et al., 2022, section 3)."""

ELSEWHERE = 7
"""Transposes of a ConvNeXt outside its blocks: 1 at the input, 1 into the stem's norm, 1 out of the
first downsampling norm (the first stage between them stays channels-last), 2 for each of the other
two downsampling norms."""

INTRODUCTION = """\
# The Keras Applications

Written by `python bench/zoo.py --out docs/zoo.md` (`make test-zoo`). Each Application is built at
its default size with `--weights random`, exported through `kexport.export`, and compared with Keras
on the raw images through the bundle's own runtime."""

COLUMNS = """\
*Error* is the largest difference from Keras' logits, in units of their standard deviation.
*Convert* is the processor's time from the Keras model to the finished graph, without the
observation that float16 needs, but with the drawing of the images; *peak* is the whole process,
with TensorFlow, the model in Keras and its run for comparison. *Float32* counts the nodes that stay
in float32 although the target is float16."""


def page(results: Results, names: Sequence[str], targets: Sequence[str]) -> str:
    """The whole page."""
    parts = [INTRODUCTION, f"{machine()}. {versions()}."]
    for target in targets:
        rows = [(name, results[name, target]) for name in names]
        parts += [
            f"## {target}",
            summary(rows, target),
            table(HEADINGS, (row(*one) for one in rows)),
        ]
        parts += [f"- {name}: {found['message']}" for name, found in rows if not found["ok"]]
    parts += [COLUMNS, transposes(results, names, targets)]
    return "\n\n".join(part for part in parts if part) + "\n"


HEADINGS = (
    "Application",
    "size",
    "nodes",
    "Transposes",
    "float32",
    "MB",
    "convert s",
    "peak GB",
    "error",
    "",
)


def summary(rows: Sequence[tuple[str, Mapping[str, Any]]], target: str) -> str:
    """How many hold, and the largest error."""
    good = [found for _, found in rows if found["ok"]]
    said = f"{len(good)} of {len(rows)} Applications export to {target} and equal Keras"
    if not good:
        return f"{said}."
    worst = max(found["error"] for found in good)
    return f"{said}; the largest error is {error(worst)}, {good[0]['tolerance']:g} is allowed."


def row(name: str, found: Mapping[str, Any]) -> list[str]:
    """One Application's cells."""
    size = str(zoo.ZOO[name].size)
    verdict = "ok" if found["ok"] else "failed"
    if "nodes" not in found:
        return [name, size, *["-"] * (len(HEADINGS) - 3), verdict]
    return [
        name,
        size,
        str(found["nodes"]),
        str(found["transposes"]),
        str(found["float32_nodes"]),
        number(found["bytes"] / 1e6, 1),
        number(found["convert_seconds"], 1),
        number(found["peak"] / 1e9, 1),
        error(found["error"]),
        verdict,
    ]


def transposes(results: Results, names: Sequence[str], targets: Sequence[str]) -> str:
    """What the Transposes are, checked against the count that the architecture demands."""
    unexpected = [
        f"{name} for {target} ({results[name, target]['transposes']})"
        for target in targets
        for name in names
        if results[name, target].get("transposes", expected(name)) != expected(name)
    ]
    said = (
        "One Transpose is the image's own, from NHWC to NCHW. ConvNeXt normalises and multiplies "
        "along the last axis, and convolves along the second: two Transposes a block, around its "
        "depthwise convolution or its LayerNormalization and Dense layers, and six around the "
        "norms of the stem and the three downsampling steps, where those of the first stage, which "
        f"stays channels-last between its blocks, cancel. That is 2 x blocks + {ELSEWHERE}."
    )
    return f"{said} Other counts: {', '.join(unexpected)}." if unexpected else said


def expected(name: str) -> int:
    """The Transposes that a model cannot do without."""
    return 2 * CONVNEXT_BLOCKS[name] + ELSEWHERE if name in CONVNEXT_BLOCKS else 1

"""The page docs/zoo.md, written from the results of bench/zoo.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from machine import machine, versions
from page import error, joined, number, table

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

Every Application at its default size, built with `--weights random` and exported with
`kexport.export`. The bundle's own runtime gets the raw images, and its outputs are compared with
those of Keras.

`python bench/zoo.py --out docs/zoo.md` (part of `make test-zoo`) writes this page."""

COLUMNS = """\
- *error* is the largest difference from Keras' logits, in units of their standard deviation.
- *convert* is the processor time from the Keras model to the finished graph. It includes the
  creation of the synthetic images, but not the run that finds the value ranges for float16.
- *peak* is the memory of the whole process, with TensorFlow, the Keras model and its run for
  comparison.
- *float32* counts the nodes that stay in float32 although the target is float16.
- *Transposes* counts the Transpose nodes."""


def page(results: Results, names: Sequence[str], targets: Sequence[str]) -> str:
    """Return the whole page."""
    parts = [*INTRODUCTION.split("\n\n"), f"{machine()}. {versions()}."]
    for target in targets:
        rows = [(name, results[name, target]) for name in names]
        parts += [
            f"## {target}",
            summary(rows, target),
            table(HEADINGS, (row(*one) for one in rows)),
        ]
        parts += [f"- {name}: {found['message']}" for name, found in rows if not found["ok"]]
    parts += [COLUMNS, transposes(results, names, targets)]
    return joined(part for part in parts if part) + "\n"


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
    """Return how many Applications pass, and the largest error."""
    good = [found for _, found in rows if found["ok"]]
    said = f"{len(good)} of {len(rows)} Applications are exported to {target} and agree with Keras"
    if not good:
        return f"{said}."
    worst = max(found["error"] for found in good)
    return f"{said}; the largest error is {error(worst)}, the tolerance {good[0]['tolerance']:g}."


def row(name: str, found: Mapping[str, Any]) -> list[str]:
    """Return the cells of one Application."""
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
    """Explain the Transposes, and name the models whose count is not the expected one."""
    unexpected = [
        f"{name} for {target} ({results[name, target]['transposes']})"
        for target in targets
        for name in names
        if results[name, target].get("transposes", expected(name)) != expected(name)
    ]
    said = (
        "Every graph has one Transpose at its input, from NHWC to NCHW. ConvNeXt has more, "
        "because it convolves along the second axis, but normalises and multiplies along the last "
        "one. Each block needs two, around its depthwise convolution or around its "
        "LayerNormalization and Dense layers. Six more belong to the norms of the stem and of the "
        "three downsampling steps; the two of the first stage cancel, since it stays "
        f"channels-last between its blocks. In all that is 2 x blocks + {ELSEWHERE}."
    )
    return f"{said} Other counts: {', '.join(unexpected)}." if unexpected else said


def expected(name: str) -> int:
    """Return how many Transposes the architecture needs at least."""
    return 2 * CONVNEXT_BLOCKS[name] + ELSEWHERE if name in CONVNEXT_BLOCKS else 1

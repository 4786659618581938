"""Optimisation profiles: the range of shapes that an engine with free sizes accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .errors import BadInput
from .inputs import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .manifest import InputSpec

BATCH = (1, 8, 32)
"""Minimum, optimum and maximum of a free batch size; --min-shapes and its siblings override it."""

ROWS, COLUMNS = (32, 480, 1080), (32, 640, 1920)
"""The same for free heights and widths of images: VGA as the optimum, Full HD as the maximum."""

_OTHER = (1, 128, 512)
_SHAPE = re.compile(r"([^:]+):(\d+(?:x\d+)*)")


def profile_of(
    inputs: Sequence[InputSpec], requested: Sequence[dict[str, list[int]]] = ({}, {}, {})
) -> dict[str, list[list[int]]]:
    """Return the minimum, optimum and maximum shape of each input with free sizes.

    `requested` are the user's minimum, optimum and maximum shapes, by input. Raises BadInput for an
    input that is unknown or has no free size, for a shape that contradicts a fixed size, and for
    shapes that do not grow from minimum to maximum.
    """
    free = {spec.name: spec for spec in inputs if None in spec.shape}
    for shapes in requested:
        for name in shapes:
            if name not in free:
                known = ", ".join(free) or "none"
                raise BadInput(f"no input {name!r} has a free size", hint=f"those that do: {known}")
    found = {}
    for name, spec in free.items():
        found[name] = [
            list(shapes.get(name, _default(spec, index))) for index, shapes in enumerate(requested)
        ]
        _check_shapes(spec, found[name])
    return found


def parse_shapes(text: str) -> dict[str, list[int]]:
    """Parse shapes in trtexec's notation, "image:1x224x224x3,other:1x8"; raises ValueError."""
    shapes = {}
    for part in filter(None, text.split(",")):
        match = _SHAPE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not of the form name:1x224x224x3")
        shapes[match[1]] = [int(size) for size in match[2].split("x")]
    return shapes


def format_shapes(shapes: dict[str, list[int]]) -> str:
    """Format shapes in the notation that `parse_shapes` reads."""
    return ",".join(f"{name}:{'x'.join(map(str, sizes))}" for name, sizes in shapes.items())


def _default(spec: InputSpec, index: int) -> list[int]:
    sizes = [_OTHER[index] if size is None else size for size in spec.shape]
    if spec.shape[0] is None:
        sizes[0] = BATCH[index]
    if spec.color is not None:
        first = 2 if spec.layout == "NCHW" else 1
        for axis, choice in ((first, ROWS), (first + 1, COLUMNS)):
            if spec.shape[axis] is None:
                sizes[axis] = choice[index]
        if spec.color == "NV12" and spec.shape[first] is None:
            sizes[first] = sizes[first] * 3 // 2
    return sizes


def _check_shapes(spec: InputSpec, shapes: Sequence[Sequence[int]]) -> None:
    for shape in shapes:
        fits = len(shape) == len(spec.shape) and all(
            size >= 1 and wanted in (None, size) for size, wanted in zip(shape, spec.shape)
        )
        if not fits:
            wanted = described(spec.dtype, spec.shape)
            raise BadInput(f"{spec.name!r} takes {wanted}, not {'x'.join(map(str, shape))}")
    for before, after in zip(shapes, shapes[1:]):
        if any(small > large for small, large in zip(before, after)):
            raise BadInput(
                f"the shapes of {spec.name!r} do not grow from the smallest to the largest",
                hint="set --min-shapes, --opt-shapes and --max-shapes together",
            )

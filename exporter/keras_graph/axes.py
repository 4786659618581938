"""Names of the open axes of a model's inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

Shape = Sequence[int | None]

BATCH = "batch"
"""Name of the first axis, which Keras takes to be equally long in all inputs."""

AXES = {
    2: ("time",),
    3: ("time",),
    4: ("height", "width"),
    5: ("depth", "height", "width"),
}
"""Names of the axes between batch and channels, by the rank of the input with both."""


def name_axes(inputs: Sequence[tuple[str, Shape]]) -> list[tuple[int | str, ...]]:
    """Return the shape of each input, given with its name, with a name for every open axis.

    Axes with the same name are equally long. Only the batch is shared by several inputs: where two
    have an open axis of the same kind, each is prefixed with its input, as in `query_time`.
    """
    kinds = [_kinds(shape) for _, shape in inputs]
    shared = Counter(kind for names in kinds for kind in names if isinstance(kind, str))
    taken = {BATCH} | {kind for kind, count in shared.items() if count == 1}
    shapes = []
    for (name, _), axes in zip(inputs, kinds, strict=True):
        shape: list[int | str] = []
        for kind in axes:
            if isinstance(kind, str) and kind != BATCH and shared[kind] > 1:
                kind = _free(f"{name}_{kind}", taken)
                taken.add(kind)
            shape.append(kind)
        shapes.append(tuple(shape))
    return shapes


def _kinds(shape: Shape) -> list[int | str]:
    """Return the extents of one input, or what their axes hold where they are open."""
    rank = len(shape)
    names = AXES.get(rank, ())
    first = 2 if rank > 2 and shape[1] is not None and shape[-1] is None else 1  # channels first
    kind = {first + i: name for i, name in enumerate(names)}
    kind[0] = BATCH
    return [kind.get(axis, f"dim_{axis}") if dim is None else dim for axis, dim in enumerate(shape)]


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number where another axis has it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free

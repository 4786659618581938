"""Extents of open axes: those of the samples, and others that a model is probed at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

OPEN_EXTENT = 32
"""Extent of the samples along every open axis."""

UNEQUAL = (17, 23, 13, 29, 19, 11, 31, 7)
"""Extents of the open axes in turn where they may differ: odd, and no multiples of one another."""

EQUAL = ((17, 48, 8), (1, 2, 5))
"""Extents of all open axes where they may not: of each group the first that the model computes."""

Shapes = tuple[tuple[int, ...], ...]
"""The shape of one sample of each input."""


def main_shapes(shapes: Sequence[Sequence[int | str]]) -> Shapes:
    """Return the shapes of the samples: `OPEN_EXTENT` for each open axis.

    Args:
        shapes: the shape of each input with its batch; open axes have a name.
    """
    return tuple(_filled(shape, OPEN_EXTENT) for shape in shapes)


def other_shapes(shapes: Sequence[Sequence[int | str]]) -> Iterator[list[Shapes]]:
    """Yield groups of shapes; the model is probed at the first of each group that it computes.

    In the first group all axes differ; then those of one input differ from all others'; then all
    are equal.
    """
    if not any(isinstance(size, str) for shape in shapes for size in shape[1:]):
        return
    longer, *others = EQUAL
    yield [
        _distinct(shapes),
        *(_one_apart(shapes, place) for place in range(len(shapes)) if len(shapes) > 1),
        *(tuple(_filled(shape, extent) for shape in shapes) for extent in longer),
    ]
    for extents in others:
        yield [tuple(_filled(shape, extent) for shape in shapes) for extent in extents]


def difference(shapes: Sequence[Sequence[int | str]], chosen: Shapes, names: Sequence[str]) -> str:
    """Say in words which extents were chosen for the open axes, input by input."""
    said = []
    for name, declared, shape in zip(names, shapes, chosen, strict=True):
        extents = [
            str(extent)
            for extent, size in zip(shape, declared[1:], strict=True)
            if isinstance(size, str)
        ]
        if extents:
            said.append(f"{' x '.join(extents)} along the open axes of {name}")
    return ", ".join(said)


def _filled(shape: Sequence[int | str], extent: int) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else extent for size in shape[1:])


def _distinct(shapes: Sequence[Sequence[int | str]]) -> Shapes:
    place, filled = 0, []
    for shape in shapes:
        sizes = []
        for size in shape[1:]:
            sizes.append(size if isinstance(size, int) else UNEQUAL[place % len(UNEQUAL)])
            place += not isinstance(size, int)
        filled.append(tuple(sizes))
    return tuple(filled)


def _one_apart(shapes: Sequence[Sequence[int | str]], apart: int) -> Shapes:
    return tuple(
        _filled(shape, UNEQUAL[1] if place == apart else UNEQUAL[0])
        for place, shape in enumerate(shapes)
    )

"""Extents of open axes: those of the samples, and others that a model is probed at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from kexport.parity.samples.images import OPEN_SIZE

OPEN_EXTENT = 32
"""Extent of the samples along every open axis that is not one of images."""

OTHER_SIZES = (((95, 131), (97, 130), (96, 160)), ((162, 66), (163, 84), (160, 96)))
"""Further heights and widths for such a model: of each group the first that it computes. Odd and
wide first, and what can be halved five times last."""

UNEQUAL = (17, 23, 13, 29, 19, 11, 31, 7)
"""Extents of the open axes in turn where they may differ: odd, and no multiples of one another."""

EQUAL = ((17, 48, 8), (1, 2, 5))
"""Extents of all open axes where they may not: of each group the first that the model computes."""

Declared = Sequence[Sequence[int | str]]
"""The shape of each input with its batch; open axes have a name."""

Shapes = tuple[tuple[int, ...], ...]
"""The shape of one sample of each input."""


def is_open(declared: Declared) -> bool:
    """Return whether an axis besides the batch is open."""
    return any(isinstance(size, str) for shape in declared for size in shape[1:])


def main_shapes(declared: Declared, images: Collection[int]) -> list[Shapes]:
    """Return shapes for the samples, of which the first that the model computes is to be taken.

    Open axes of images are those of `OPEN_SIZE` and all others `OPEN_EXTENT`; or all are
    `OPEN_EXTENT`, as where images are added to a tensor.

    Args:
        declared: the inputs.
        images: the places of the inputs that are images.
    """
    return list(dict.fromkeys([_sized(declared, images, OPEN_SIZE), _equal(declared, OPEN_EXTENT)]))


def other_shapes(declared: Declared, images: Collection[int]) -> Iterator[list[Shapes]]:
    """Yield groups of shapes; the model is probed at the first of each group that it computes.

    In the first group all axes differ; then those of one input differ from all others'; then all
    are equal. Where images have open axes, each group begins with sizes of images, first with
    another one for each image.
    """
    if not is_open(declared):
        return
    longer, *others = EQUAL
    groups = [
        [
            _distinct(declared),
            *(_one_apart(declared, place) for place in range(len(declared)) if len(declared) > 1),
            *(_equal(declared, extent) for extent in longer),
        ],
        *([_equal(declared, extent) for extent in extents] for extents in others),
    ]
    sizes = OTHER_SIZES if is_open([declared[place] for place in images]) else ((),) * len(groups)
    for own, group in zip(sizes, groups, strict=True):
        turns = [_in_turns(declared, images, own)] if own and len(images) > 1 else []
        yield [*turns, *(_sized(declared, images, size) for size in own), *group]


def difference(declared: Declared, chosen: Shapes, names: Sequence[str]) -> str:
    """Say in words which extents were chosen for the open axes, input by input."""
    said = []
    for name, own, shape in zip(names, declared, chosen, strict=True):
        extents = [
            str(extent)
            for extent, size in zip(shape, own[1:], strict=True)
            if isinstance(size, str)
        ]
        if extents:
            said.append(f"{' x '.join(extents)} along the open axes of {name}")
    return ", ".join(said)


def _filled(shape: Sequence[int | str], extents: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        size if isinstance(size, int) else extent
        for size, extent in zip(shape[1:], extents, strict=True)
    )


def _equal(declared: Declared, extent: int) -> Shapes:
    return tuple(_filled(shape, [extent] * len(shape[1:])) for shape in declared)


def _sized(declared: Declared, images: Collection[int], size: tuple[int, int]) -> Shapes:
    return tuple(
        _filled(shape, [*size, 0] if place in images else [OPEN_EXTENT] * len(shape[1:]))
        for place, shape in enumerate(declared)
    )


def _in_turns(
    declared: Declared, images: Collection[int], sizes: Sequence[tuple[int, int]]
) -> Shapes:
    """Give each image another of some sizes in turn."""
    turn = {place: sizes[at % len(sizes)] for at, place in enumerate(sorted(images))}
    return tuple(
        _filled(shape, [*turn[place], 0] if place in turn else [OPEN_EXTENT] * len(shape[1:]))
        for place, shape in enumerate(declared)
    )


def _distinct(declared: Declared) -> Shapes:
    place, filled = 0, []
    for shape in declared:
        sizes = []
        for size in shape[1:]:
            sizes.append(size if isinstance(size, int) else UNEQUAL[place % len(UNEQUAL)])
            place += not isinstance(size, int)
        filled.append(tuple(sizes))
    return tuple(filled)


def _one_apart(declared: Declared, apart: int) -> Shapes:
    return tuple(
        _filled(shape, [UNEQUAL[1] if place == apart else UNEQUAL[0]] * len(shape[1:]))
        for place, shape in enumerate(declared)
    )

"""Labelled images in `images/`, each with a partner of the same name in another folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kexport.errors import BadArgument
from kexport.measures.examples import Examples, Partners, mode_and_size, size_of
from kexport.source.image_files import image_files

IMAGES, MASKS, TARGETS = "images", "masks", "targets"

MASK_MODES = ("1", "L", "P")
"""Pillow's modes whose pixels are indices: one bit, one byte, or a palette."""


def read_masks(folder: Path) -> Examples:
    """Find images with masks: PNG files whose pixels are the indices of classes.

    Raises:
        BadArgument: a folder or a partner is missing, a mask is no PNG of one channel, or it has
            not the size of its image.
    """
    examples, partners = _paired(folder, MASKS)
    for name, path in zip(examples.files, partners.paths, strict=True):
        if path.suffix.lower() != ".png":
            raise BadArgument(
                f"the mask {path} is no PNG file, so that its indices may have changed",
                hint="write masks as PNG files whose pixels are the indices of classes",
            )
        mode, *other = mode_and_size(path)
        if mode not in MASK_MODES:
            raise BadArgument(
                f"the mask {path} has pixels of mode {mode}, not indices of classes",
                hint="write it with one byte for each pixel, the index of its class",
            )
        own = [*size_of(folder / name)]
        if own != other:
            raise BadArgument(
                f"the mask {path} is {other[1]} x {other[0]} pixels, and its image {own[1]} x "
                f"{own[0]}",
                hint="give each mask the size of its image",
            )
    return examples


def read_targets(folder: Path) -> Examples:
    """Find images with what the model should make of them.

    A target may be larger or smaller than its image, with the same ratio of width to height.

    Raises:
        BadArgument: a folder or a partner is missing, or a target has another ratio.
    """
    examples, partners = _paired(folder, TARGETS)
    for name, path in zip(examples.files, partners.paths, strict=True):
        own, other = size_of(folder / name), size_of(path)
        if abs(own[1] * other[0] / own[0] - other[1]) > 1:
            raise BadArgument(
                f"the target {path} is {other[1]} x {other[0]} pixels, and its image {own[1]} x "
                f"{own[0]}",
                hint="give both the same ratio of width to height",
            )
    return examples


def _paired(folder: Path, partners: str) -> tuple[Examples, Partners]:
    """Pair the files of `images/` and of another folder by their names without suffix."""
    for name in (IMAGES, partners):
        if not (folder / name).is_dir():
            raise BadArgument(
                f"{folder} has no folder {name}",
                hint=f"give a folder that holds {IMAGES} and {partners}, with files of the same "
                "names",
            )
    stems = [_stems(folder / name) for name in (IMAGES, partners)]
    for one, other, kind, missing in (
        (stems[0], stems[1], IMAGES, partners),
        (stems[1], stems[0], partners, IMAGES),
    ):
        lonely = [stem for stem in one if stem not in other]
        if lonely:
            more = f", nor have {len(lonely) - 1} others" if len(lonely) > 1 else ""
            raise BadArgument(
                f"{folder / kind / one[lonely[0]]} has no counterpart in {folder / missing}{more}",
                hint="give both the same name, but for the suffix, or remove it",
            )
    if not stems[0]:
        raise BadArgument(
            f"the folder {folder / IMAGES} holds no images", hint="put the labelled images there"
        )
    found = Partners(tuple(folder / partners / stems[1][stem] for stem in stems[0]))
    files = tuple(f"{IMAGES}/{name}" for name in stems[0].values())
    return Examples(folder, files, found), found


def _stems(folder: Path) -> dict[str, str]:
    """Return the image files of a folder by their relative path without suffix."""
    names: Sequence[str] = image_files(folder)
    found = {str(PurePosixPath(name).with_suffix("")): name for name in names}
    if len(found) < len(names):
        twice = next(
            name for name in names if found[str(PurePosixPath(name).with_suffix(""))] != name
        )
        raise BadArgument(
            f"{folder} has two files named {PurePosixPath(twice).stem}, with different suffixes",
            hint="remove one of the two",
        )
    return found

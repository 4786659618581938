"""Labelled images with a COCO file: the boxes of the objects in each image."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kexport.errors import BadArgument
from kexport.measures.examples import Examples, Objects, TrueBoxes, size_of

NAME = "annotations.json"

_FORM = "write images, annotations and categories as COCO does (cocodataset.org, format-data)"


def read_boxes(path: Path) -> Examples:
    """Read a COCO file for object detection.

    Args:
        path: the file, or a folder with `annotations.json`. A `file_name` is relative to the file's
            folder, or to `images/` in it. An image without annotations has no objects.

    Raises:
        BadArgument: there is no such file, or it has another form; an image that it names is
            missing or has another size; it has no annotations, or one of an unknown image or
            category.
    """
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        raise BadArgument(
            f"there is no file {file}",
            hint=f"give a folder with {NAME} beside the images, or that file",
        )
    document = _document(file)
    ids = _by_id(file, document["categories"])
    order = sorted(ids, key=lambda one: (isinstance(one, str), one))
    names = tuple(str(ids[one].get("name", one)) for one in order)
    places = {one: place for place, one in enumerate(order)}
    by_image: dict[Any, list[Mapping[str, Any]]] = {
        one: [] for one in _by_id(file, document["images"])
    }
    for row in document["annotations"]:
        for key, known in (("image_id", by_image), ("category_id", places)):
            value = row.get(key)
            if not isinstance(value, (int, str)) or value not in known:
                raise _misread(file, f"an annotation has the {key} {value!r}, which is none")
        by_image[row["image_id"]].append(row)
    if not document["annotations"]:
        raise _misread(file, "it has no annotations")
    files, boxes = list[str](), list[TrueBoxes]()
    for row in document["images"]:
        files.append(_image(file, row))
        boxes.append(_true_boxes(file, by_image[row["id"]], places))
    twice = next((name for name, count in Counter(files).items() if count > 1), None)
    if twice is not None:
        raise _misread(file, f"it has the image {twice} twice")
    return Examples(file.parent, tuple(files), Objects(names, tuple(boxes)))


def _document(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadArgument(f"{file} cannot be read as JSON: {error}", hint=_FORM) from error
    for key in ("images", "annotations", "categories"):
        rows = document.get(key) if isinstance(document, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _misread(file, f"it has no list of {key}")
    found: dict[str, list[dict[str, Any]]] = document
    return found


def _by_id(file: Path, rows: Sequence[dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Return images or categories by their ids."""
    found: dict[int | str, dict[str, Any]] = {}
    for row in rows:
        one = row.get("id")
        if not isinstance(one, (int, str)):
            raise _misread(file, f"an image or a category has the id {one!r}")
        if one in found:
            raise _misread(file, f"two images or two categories have the id {one!r}")
        found[one] = row
    return found


def _image(file: Path, row: Mapping[str, Any]) -> str:
    """Return the file of an image, relative to the folder, after a look at its size."""
    name = str(row.get("file_name", ""))
    found = next((one for one in (name, f"images/{name}") if (file.parent / one).is_file()), None)
    if found is None or not name:
        raise BadArgument(
            f"{file} names the image {name!r}, and there is no file {file.parent / name}",
            hint="put the images beside the file, or into images/ there",
        )
    said = row.get("height"), row.get("width")
    size = size_of(file.parent / found)
    if None not in said and said != size:
        raise BadArgument(
            f"{file} says that {name} is {said[1]} x {said[0]} pixels, and it is {size[1]} x "
            f"{size[0]}",
            hint="give the images that were annotated",
        )
    return found


def _true_boxes(
    file: Path, rows: Sequence[Mapping[str, Any]], places: Mapping[Any, int]
) -> TrueBoxes:
    edges = np.zeros((len(rows), 4))
    for index, row in enumerate(rows):
        box = row.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            raise _misread(file, f"an annotation has the bbox {box!r}")
        left, top, width, height = map(float, box)
        if width < 0 or height < 0:
            raise _misread(file, f"the bbox {box} has no size: it is left, top, width and height")
        edges[index] = left, top, left + width, top + height
    return TrueBoxes(
        edges,
        np.array([places[row["category_id"]] for row in rows], np.int64),
        np.array([bool(row.get("iscrowd", 0)) for row in rows], bool),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _misread(file: Path, reason: str) -> BadArgument:
    return BadArgument(f"{file} is no COCO file of boxes: {reason}", hint=_FORM)

"""Files of class labels: one a line, JSON, CSV, or a list as Python prints it."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kexport.errors import BadArgument

INDEX_COLUMNS = ("index", "id", "class_id", "class_index")
LABEL_COLUMNS = ("label", "labels", "name", "class", "class_name")
"""Headers of the columns of a CSV file, in lower case and with _ for spaces."""

_ORDER = "give one label for each class, in the order of the classes"


def read_file(path: Path) -> tuple[str, ...]:
    """Read a file of labels, by its ending and by its first character.

    A .json file has a list of labels, or an object: `{"cat": 0}` as Keras' `class_indices`, or
    `{"0": "cat"}`. A .csv file has one column of labels, or an index and a label; a header names
    them (`INDEX_COLUMNS`, `LABEL_COLUMNS`). Any other has one label a line, or a list such as
    `print(class_names)` writes. All are UTF-8.

    Raises:
        BadArgument: the file cannot be read, has another form, or lacks a label.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(
            f"labels file {path} cannot be read: {error}",
            hint="give a UTF-8 text file, a training folder, or the word imagenet",
        ) from error
    if path.suffix.lower() == ".json":
        labels = _of_json(path, text)
    elif path.suffix.lower() == ".csv":
        labels = _of_csv(path, text)
    elif text.lstrip().startswith("["):
        labels = _of_list(path, text)
    else:
        labels = _of_lines(text)
    if not labels or not all(label and len(label.splitlines()) == 1 for label in labels):
        raise BadArgument(
            f"labels file {path} has {'no labels' if not labels else 'an empty line'}",
            hint="write one label a line, in the order of the classes",
        )
    return tuple(labels)


def _of_lines(text: str) -> list[str]:
    return [line.strip() for line in text.rstrip().splitlines()]


def _of_list(path: Path, text: str) -> list[str]:
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError) as error:
        raise _misread(path, f"it begins with [ and is not a list: {error}") from error
    return _texts(path, found)


def _of_json(path: Path, text: str) -> list[str]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _misread(path, f"it is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        return _texts(path, found)
    if all(type(value) is int for value in found.values()):
        return _by_index(path, {value: key for key, value in found.items()}, len(found))
    if all(key.isdecimal() for key in found):
        return _by_index(path, {int(key): value for key, value in found.items()}, len(found))
    raise _misread(path, "its object has neither indices as values nor as keys")


def _of_csv(path: Path, text: str) -> list[str]:
    try:
        rows = [row for row in csv.reader(text.splitlines(), strict=True) if any(row)]
    except csv.Error as error:
        raise _misread(path, f"it is not valid CSV: {error}") from error
    rows = [[cell.strip() for cell in row] for row in rows]
    header = [cell.lower().replace(" ", "_") for cell in rows[0]] if rows else []
    index = next((header.index(name) for name in INDEX_COLUMNS if name in header), None)
    label = next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    if label is not None or index is not None:
        rows = rows[1:]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise _misread(path, f"its rows have {' or '.join(map(str, sorted(widths)))} columns")
    if label is None:
        index, label = _columns(path, rows, index)
    if index is None:
        return [row[label] for row in rows]
    numbers = [row[index] for row in rows]
    wrong = next((word for word in numbers if not word.isdecimal()), None)
    if wrong is not None:
        raise _misread(path, f"{wrong!r} is no index")
    found = {int(row[index]): row[label] for row in rows}
    return _by_index(path, found, len(rows))


def _columns(
    path: Path, rows: Sequence[Sequence[str]], index: int | None
) -> tuple[int | None, int]:
    """Return the columns of the index and of the label where no header names the label."""
    width = len(rows[0]) if rows else 1
    if width == 1 and index is None:
        return None, 0
    if width == 2:
        numeric = [i for i in (0, 1) if all(row[i].isdecimal() for row in rows)]
        if index is not None or len(numeric) == 1:
            found = numeric[0] if index is None else index
            return found, 1 - found
    raise _misread(
        path,
        f"which of its {width} columns has the labels is not known",
        f"give the columns a header, such as {INDEX_COLUMNS[0]},{LABEL_COLUMNS[0]}",
    )


def _by_index(path: Path, labels: Mapping[int, Any], count: int) -> list[str]:
    """Return labels in the order of their indices, which must be 0, 1, 2 and so on."""
    missing = next((index for index in range(count) if index not in labels), None)
    if missing is not None or len(labels) != count:
        raise _misread(
            path, f"it has {count} labels, and none with the index {missing}", "count from 0"
        )
    return _texts(path, [labels[index] for index in range(count)])


def _texts(path: Path, found: Any) -> list[str]:
    if not isinstance(found, list) or not all(type(label) in (str, int) for label in found):
        raise _misread(path, "it is not a list of texts")
    return [str(label).strip() for label in found]


def _misread(path: Path, reason: str, hint: str = _ORDER) -> BadArgument:
    return BadArgument(f"labels file {path} has another form: {reason}", hint=hint)

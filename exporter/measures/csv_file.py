"""Labelled images in a folder with a CSV file: a row of numbers for each image."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from kexport.errors import BadArgument
from kexport.measures.examples import Columns, Examples

_FORM = "write a header such as file,sun,rain and a row for each image such as a.jpg,1,0"


def read_flags(path: Path) -> Examples:
    """Read labels of images: 1 where an image has the label of the column, and 0 elsewhere.

    Raises:
        BadArgument: as `read_numbers`, or a cell is neither 0 nor 1.
    """
    examples = read_numbers(path)
    assert isinstance(examples.truths, Columns)
    names, values = examples.truths.names, examples.truths.values
    wrong = np.argwhere((values != 0) & (values != 1))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise BadArgument(
            f"{_file(path)}: {values[row, column]:g} for {names[column]!r} of "
            f"{examples.files[row]} is neither 0 nor 1",
            hint="write 1 where an image has the label, and 0 elsewhere",
        )
    return examples


def read_numbers(path: Path) -> Examples:
    """Read a CSV file: the first column has files beside it, every other column numbers.

    Args:
        path: the file, or a folder with one file that ends in .csv. Image files that no row names
            are not used.

    Raises:
        BadArgument: there is no such file, or more than one; it is no CSV of that form; a file that
            it names is missing or occurs twice; a cell is no number.
    """
    file = _file(path)
    header, *rows = _rows(file)
    names = tuple(header[1:])
    if not names or not all(names) or len(set(names)) < len(names):
        raise BadArgument(
            f"{file} needs a first column of files, and after it columns with different names; it "
            f"has {', '.join(map(repr, header))}",
            hint=_FORM,
        )
    if not rows:
        raise BadArgument(f"{file} has no row under its header", hint=_FORM)
    found: dict[str, list[float]] = {}
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise BadArgument(
                f"{file}, row {line}: {len(row)} cells, and the header has {len(header)}",
                hint=_FORM,
            )
        name = row[0].replace("\\", "/")
        if name in found:
            raise BadArgument(
                f"{file}, row {line}: {name} has a row already", hint="remove one of the two"
            )
        if not (file.parent / name).is_file():
            raise BadArgument(
                f"{file}, row {line}: there is no file {file.parent / name}",
                hint="write files relative to the folder that the CSV file is in",
            )
        found[name] = [
            _number(file, line, one, cell) for one, cell in zip(names, row[1:], strict=True)
        ]
    values = np.array(list(found.values()), np.float64)
    return Examples(file.parent, tuple(found), Columns(names, values))


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise BadArgument(
            f"{path} does not exist", hint="give a folder of images with a CSV file, or that file"
        )
    files = sorted(path.glob("*.csv"))
    if len(files) != 1:
        held = ", ".join(file.name for file in files) or "none"
        raise BadArgument(
            f"the folder {path} needs one CSV file that says what is right, and has {held}",
            hint=f"{_FORM}; or give the CSV file itself"
            if not files
            else "give the CSV file itself",
        )
    return files[0]


def _rows(file: Path) -> list[list[str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = [row for row in csv.reader(text.splitlines(), strict=True) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadArgument(f"{file} cannot be read as CSV: {error}", hint=_FORM) from error
    if not rows:
        raise BadArgument(f"{file} is empty", hint=_FORM)
    return [[cell.strip() for cell in row] for row in rows]


def _number(file: Path, line: int, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadArgument(
            f"{file}, row {line}: {cell!r} for {name!r} is no number", hint="write a finite number"
        )
    return value

"""Tables of what a bundle answers: predictions, and verifications."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kexport.cli.tables.parity import compared
from kexport.cli.tables.table import headed, named, pairs

if TYPE_CHECKING:
    from kexport.runtime import Verification
    from kexport.runtime.answers import Answered
    from kexport.runtime.predict import Answer

_NUMBERS = (
    "class",
    "score",
    "threshold",
    "value",
    "share",
    *("left", "top", "right", "bottom"),
    "similarity",
    "width",
    "height",
    "channels",
    "numbers",
    "length",
    "least",
    "mean",
    "largest",
)
"""Columns of answers that are numbers."""


def answers_table(found: Iterable["Answered"]) -> Table:
    """List the answer of each image that could be read."""
    answers = [(one.image, one.answer) for one in found if one.answer is not None]
    columns, _ = _cells(answers[0][1])
    table = headed("image", *columns, right=_NUMBERS)
    for image, answer in answers:
        for place, row in enumerate(_cells(answer)[1]):
            table.add_row("" if place else image, *row)
    return table


def _cells(answer: "Answer") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns of an answer, and its rows; classes have their index before them."""
    from kexport.runtime import Classes

    if not isinstance(answer, Classes):
        return answer.columns, answer.rows()
    indices = [str(found.index) for found in answer.predictions]
    rows = zip(indices, answer.rows(), strict=True)
    return ("class", *answer.columns), [(index, *row) for index, row in rows]


def verification_table(
    path: Path, verification: "Verification", latency: str | None = None
) -> Table:
    """Compare each golden output with what the bundle computes now; say how long it takes."""
    measured = [(row.name, row.max_abs, row.error, row.tolerance) for row in verification.rows]
    measures = compared(measured, f"on {verification.images} golden images", "the bundle")
    return pairs(
        [
            ("bundle", str(path)),
            ("model", f"{verification.model} for {verification.target}"),
            ("engine", verification.engine),
            ("files", f"{verification.files}, all as the manifest says"),
            *named("parity", measures),
            *named("speed", filter(None, [latency])),
            ("result", "passed" if verification.passed else "FAILED"),
        ]
    )

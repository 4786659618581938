"""Tables on stdout: their form, and the words that several of them share."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from kexport.cli.terminal import printable

_WIDTH_OF_A_PIPE = 120
"""Columns if stdout is not a terminal and COLUMNS is not set."""


class PlainTable(Table):
    """A table whose cells are one line each, and cannot steer the terminal."""

    def add_row(self, *cells: str, **style: Any) -> None:  # type: ignore[override]
        """Add a row of texts, printed as they are: no markup, no control characters."""
        super().add_row(*map(printable, cells), **style)


def show(table: Table) -> None:
    """Print to stdout without trailing blanks, in the colours and the width of the terminal.

    Columns with a heading and nothing under it are left out.
    """
    if table.show_header and table.row_count:
        table.columns = [one for one in table.columns if any(one.cells)]
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _WIDTH_OF_A_PIPE if piped else None
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def headed(*names: str, right: Sequence[str] = ()) -> Table:
    """Make a table without rows; the columns in `right` are aligned right."""
    table = PlainTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Make a table with a name and a value on each line."""
    table = PlainTable.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def named(name: str, values: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Put a name before the first of some values, and none before the others."""
    return (("" if index else name, value) for index, value in enumerate(values))


def megabytes(count: int) -> str:
    """Write a number of bytes in units of 10^6 bytes, such as `98.2 MB` or `0.04 MB`.

    Fewer than 10,000 are in units of 10^3 bytes, such as `1.7 kB`.
    """
    if count < 10_000:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.{1 if count >= 1e6 else 2}f} MB"


def milliseconds(count: float) -> str:
    """Write a time such as `12.34 ms`, or `0.014 ms` below one millisecond."""
    return f"{count:.{2 if count >= 1 else 3}f} ms"

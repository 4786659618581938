"""Lines on stderr: errors, hints and warnings."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from kexport.cli.terminal import printable


def tell(message: str, hint: str | None, details: Iterable[str] = ()) -> None:
    """Print an error and, below it, its hint and the lines of its details."""
    click.echo(f"error: {printable(message)}", err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)
    for line in details:
        click.echo(printable(line), err=True)


def warn(message: str) -> None:
    """Print a warning; it does not change the exit status."""
    click.echo(f"warning: {printable(message)}", err=True)


@contextmanager
def warnings_as_lines(
    category: type[Warning] = RuntimeWarning, translate: Callable[[str], str] = str
) -> Iterator[None]:
    """Print warnings of a category as lines, such as that a provider did not load.

    `translate` makes the text of a line from that of a warning.
    """

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        warn(translate(str(message)))

    with warnings.catch_warnings():
        warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield

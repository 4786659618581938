"""Errors, hints and warnings as lines on stderr."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from kexport.cli.terminal import printable


def tell(message: str, hint: str | None) -> None:
    """Print what happened, and below it what to do next."""
    click.echo(f"error: {printable(message)}", err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)


def warn(message: str) -> None:
    """Print what is not as it should be, and stops nothing."""
    click.echo(f"warning: {printable(message)}", err=True)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print the runtime's warnings, such as a provider that did not load, as lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = _show
        yield


def _show(message: Warning | str, *where: Any, **more: Any) -> None:
    warn(str(message))

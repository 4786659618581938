"""Progress on stderr; meanwhile the output of libraries is kept off stdout."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

import click

from kexport.bundle import FINISHING
from kexport.cli.interrupt import remembered_interrupt
from kexport.cli.terminal import printable

Report = Callable[[str], None]


@contextmanager
def progress(*, quiet: bool) -> Iterator[Report]:
    """Yield a function to call with the name of each step as it begins.

    A terminal shows one line with the step and the seconds since the start; otherwise each step
    is a line of its own. With `quiet` nothing is shown. Text that libraries print to stdout
    meanwhile, such as Keras' download bar, goes to stderr, or is dropped with `quiet`.

    Ctrl-C raises KeyboardInterrupt, and raises it again as the next step begins: Python drops an
    exception in a callback of its garbage collector, and the libraries below have many of these.
    While an export publishes, Ctrl-C does nothing, so that "nothing was written" is always true.
    """
    with remembered_interrupt() as interrupt, _shown(quiet=quiet) as show:

        def report(step: str) -> None:
            interrupt.stop_if_pressed()
            if step == FINISHING:
                interrupt.hold()
            show(printable(step))

        yield report


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Report]:
    if quiet:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            yield lambda step: None
    elif sys.stderr.isatty():
        with _live() as show:
            yield show
    else:
        start = time.monotonic()
        with redirect_stdout(sys.stderr):
            yield lambda step: click.echo(f"{time.monotonic() - start:7.1f} s  {step}", err=True)


@contextmanager
def _live() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    name = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn("line"), name, TimeElapsedColumn())
    console = Console(stderr=True, markup=False, highlight=False)
    with Progress(*columns, console=console, transient=True) as line:
        task = line.add_task("starting", total=None)
        yield lambda step: line.update(task, description=step)

"""Ctrl-C in the middle of a step, also where a library swallows it."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from kexport.cli.progress import progress


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C as in a terminal; a job in a script's background inherits that it does nothing."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_an_interrupt_that_a_library_swallows() -> None:
    with progress(quiet=True) as report:
        report("converting")
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            report("running Keras for comparison")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heeded")
def test_an_interrupt_stays_ignored_where_it_was() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with progress(quiet=True):
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

"""Ctrl-C during a step, also if a library swallows it."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from kexport.cli.progress import progress


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle Ctrl-C as in a terminal; a background job would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_that_a_library_swallows_is_raised_again() -> None:
    with progress(quiet=True) as report:
        report("converting")
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            report("running Keras for comparison")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
def test_an_ignored_interrupt_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with progress(quiet=True):
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

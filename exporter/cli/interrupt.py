"""Handling of Ctrl-C: no library can swallow it, and publishing ignores it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Control over Ctrl-C."""

    stop_if_pressed: Callable[[], None]
    """Raises KeyboardInterrupt if Ctrl-C was pressed."""
    hold: Callable[[], None]
    """Makes Ctrl-C do nothing from now on."""


@contextmanager
def remembered_interrupt() -> Iterator[Interrupt]:
    """Yield control over Ctrl-C, which still raises KeyboardInterrupt.

    If the process handles Ctrl-C in another way, as a background job that ignores it, the handler
    is left as it is.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    def stop_if_pressed() -> None:
        if pressed:
            raise KeyboardInterrupt

    def hold() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop_if_pressed()

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield Interrupt(stop_if_pressed, lambda: None)
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield Interrupt(stop_if_pressed, hold)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)

"""Ctrl-C that no library can swallow, until it is too late to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, slots=True)
class Interrupt:
    """What can be done about Ctrl-C."""

    stop_if_pressed: Callable[[], None]
    """Raises KeyboardInterrupt if it was pressed since."""
    hold: Callable[[], None]
    """From now on it does nothing."""


@contextmanager
def remembered_interrupt() -> Iterator[Interrupt]:
    """Yield what can be done about Ctrl-C, which itself raises KeyboardInterrupt as ever.

    Where it does something else already, such as nothing in a process that was started in the
    background, that stays so.
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

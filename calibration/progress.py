"""Progress messages of long steps."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Called with a few words at the start of every step."""

CountProgress = Callable[[int, int], None]
"""Called with the number of items done and the number in total."""


def silent(step: str) -> None:
    """Ignore a message."""
    del step


def percent_progress(say: Say, step: str) -> CountProgress:
    """Build a progress callback that reports every 10 %: "measuring ranges, 20 %"."""
    reported = -1

    def progress(done: int, total: int) -> None:
        nonlocal reported
        tenth = 10 * done // max(total, 1)
        if tenth > reported:
            reported = tenth
            say(f"{step}, {10 * tenth} %")

    return progress

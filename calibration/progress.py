"""How far a long step has come, in words."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Called with a few words at the start of every step."""

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


def counted(say: Say, step: str) -> Progress:
    """A progress that says the step and every tenth of it: "measuring ranges, 20 %"."""
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth > told:
            told = tenth
            say(f"{step}, {10 * tenth} %")

    return progress

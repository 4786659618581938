"""Timing on a machine that is not quiet: contestants take turns, and ratios are those of a turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Run = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Times:
    """The shortest run of each round, in seconds."""

    rounds: tuple[float, ...]

    @property
    def least(self) -> float:
        """Return the shortest run of all rounds."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """Return the median of the rounds' shortest runs."""
        return statistics.median(self.rounds)

    def over(self, other: Times) -> float:
        """Return the ratio to `other`: the median of the rounds' ratios."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def interleave(
    contestants: Mapping[str, Run],
    *,
    rounds: int,
    seconds: float = 0.25,
    clock: Clock = time.perf_counter,
) -> dict[str, Times]:
    """Time contestants in turns: A B C A B C ..., the order turned round every other round.

    Args:
        contestants: what to call, by name.
        rounds: how many turns each has.
        seconds: how long a turn lasts at least; its first call, which meets cold caches, does not
            count.
        clock: where all runs on one thread, `time.process_time` leaves out what other processes
            took.
    """
    for run in contestants.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        names = list(contestants)
        for name in names if turn % 2 == 0 else reversed(names):
            found[name].append(_shortest(contestants[name], seconds, clock))
    return {name: Times(tuple(times)) for name, times in found.items()}


def _shortest(run: Run, seconds: float, clock: Clock) -> float:
    shortest = float("inf")
    run()
    end = clock() + seconds
    while True:
        begun = clock()
        run()
        now = clock()
        shortest = min(shortest, now - begun)
        if now >= end:
            return shortest

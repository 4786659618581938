"""Iterators whose next item is computed while the caller uses one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def computed_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items of an iterator that advances in a thread, one item ahead of the caller."""
    done = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, done)
        while (item := coming.result()) is not done:
            coming = pool.submit(next, items, done)
            yield item  # type: ignore[misc]

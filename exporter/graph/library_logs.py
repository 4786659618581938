"""What other libraries log, kept from the user and collected."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def collected(*names: str) -> Iterator[list[logging.LogRecord]]:
    """Collect what the loggers `names` and those below them log, in the place of showing it."""
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers, logger.propagate, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate, logger.disabled = [collector], False, False
    try:
        yield collector.records
    finally:
        for logger, (handlers, propagate, disabled) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled

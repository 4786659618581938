"""Progress callback of the exporter."""

from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with a few words when a step starts, such as "converting"."""

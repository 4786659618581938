"""How many samples a graph takes at a time."""

from __future__ import annotations

from typing import Literal

Batch = int | Literal["dynamic"]
"""A fixed number of samples, or any."""

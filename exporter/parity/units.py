"""Units in the last place, and errors drawn in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

UNITS = {"fp32": 2.0**-23, "fp16": 2.0**-11}
"""Largest relative change of a number, by precision. In float32 it is the distance between 1 and
the next number, the smallest change that a product in float32 shows; in float16 it is the largest
error of rounding to nearest."""

Draw = Callable[[Sequence[int]], Any]
"""Draws numbers of a shape in [-1, 1], as a float32 tensor."""

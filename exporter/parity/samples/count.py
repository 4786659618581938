"""How many ordinary samples a model is compared on: more where they are small."""

from __future__ import annotations

BYTES = 1 << 17
"""Size of the ordinary samples together, unless it takes more for the fewest, or less for the
most. They are stored in the bundle."""

MOST = 32
"""A branch or a weight that few inputs reach is found by many samples, and Keras computes so many
of a small model in the time that it takes for one."""


def count_of(sample_bytes: int, fewest: int) -> int:
    """Return the number of ordinary samples, of which each has so many bytes."""
    return max(fewest, min(MOST, BYTES // max(sample_bytes, 1)))

"""Faults planted in converted graphs, by kind."""

from planted_faults import arithmetic, structure, weights, windows
from planted_faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *weights.FAULTS,
    *windows.FAULTS,
    *arithmetic.FAULTS,
    *structure.FAULTS,
)
"""Every kind of fault; one applies to a graph if the graph has what it spoils."""

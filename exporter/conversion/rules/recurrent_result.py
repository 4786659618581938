"""What a recurrent layer asks of its cell, and what the cell gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kexport.conversion.rules.step_masks import Steps
from kexport.conversion.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Request:
    """How a sequence is stepped through."""

    sequence: bool
    """Whether the output of each step is read."""
    backwards: bool
    zeroed: bool
    """Whether the output of a masked step is zero."""
    mask: Tensor | None
    """[batch, time]."""
    steps: Steps | None
    """What operators that only know lengths need of the mask."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a cell gives, with masks applied."""

    sequence: Tensor | None
    """The output of each step, in the order of the input's steps; None if nothing reads it."""
    last: Tensor
    """The output of the step that is processed last, [batch, ...]."""
    states: Sequence[Tensor]

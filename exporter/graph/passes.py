"""A model on its way through the pipeline, the passes that change it, and the steps it took."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from kexport.errors import KexportError, PassFailed


class Pass:
    """One change of a graph, made from a function that edits a model in place.

    Calling the pass leaves the model as it is and returns a changed copy. `edit` is the function
    itself, for the pipeline, which copies a model once and not once a pass.
    """

    __name__: str

    def __init__(self, edit: Callable[[ir.Model], None]) -> None:
        functools.update_wrapper(self, edit)
        self.edit = edit

    def __call__(self, model: ir.Model) -> ir.Model:
        """Return a copy of `model`, changed."""
        copy = model.clone()
        self.edit(copy)
        return copy


@dataclass(frozen=True, slots=True)
class Step:
    """One pass that ran: its name, its seconds, and the nodes of the graph before and after."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model of its own, and the steps that made it."""

    model: ir.Model
    steps: tuple[Step, ...] = ()

    def then(self, change: Pass) -> Artifact:
        """The artifact after one pass, which edits the model: this one is spent.

        Raises:
            PassFailed: the pass met something that it did not expect.
        """
        before, started = len(self.model.graph), time.perf_counter()
        try:
            change.edit(self.model)
        except KexportError:
            raise
        except Exception as error:
            raise PassFailed(
                f"pass {change.__name__} failed after {self._passed()}: {error}",
                hint="report this with the model; it is a fault of kexport",
            ) from error
        seconds = time.perf_counter() - started
        step = Step(change.__name__, seconds, before, len(self.model.graph))
        return Artifact(self.model, (*self.steps, step))

    def _passed(self) -> str:
        return ", ".join(step.name for step in self.steps) or "no other"

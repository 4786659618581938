"""Passes, the artifact that they change, and the record of those that ran."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from kexport.errors import KexportError, PassFailed


class Pass:
    """One change of a graph, made from a function that edits a model in place.

    A call returns a changed copy of the model. `edit` is the function itself, for
    the pipeline, which copies a model once and not for each pass.
    """

    __name__: str

    def __init__(self, edit: Callable[[ir.Model], None]) -> None:
        functools.update_wrapper(self, edit)
        self.edit = edit

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.__name__

    @property
    def purpose(self) -> str:
        """The first line of the function's docstring."""
        return (self.__doc__ or "").partition("\n")[0]

    def __call__(self, model: ir.Model) -> ir.Model:
        """Return a copy of `model`, changed."""
        copy = model.clone()
        self.edit(copy)
        return copy


@dataclass(frozen=True, slots=True)
class Step:
    """A pass that ran: its name, its seconds, and the number of nodes before and after."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model that nothing else refers to, and the steps that produced it."""

    model: ir.Model
    steps: tuple[Step, ...] = ()

    def then(self, change: Pass) -> Artifact:
        """Run a pass on the model itself, and return the artifact that replaces this one.

        Raises:
            PassFailed: the pass raised an error that is not a KexportError.
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

"""A model on its way through the pipeline, with the steps that made it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import onnx_ir as ir

from kexport.errors import KexportError, PassFailed

Pass = Callable[[ir.Model], ir.Model]


@dataclass(frozen=True, slots=True)
class Step:
    """One pass that ran: its name, its seconds, and the nodes of the graph before and after."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model and the steps that made it. Immutable: every step returns a new one."""

    model: ir.Model
    steps: tuple[Step, ...] = ()

    def then(self, change: Pass) -> Artifact:
        """The result of one pass.

        Raises:
            PassFailed: the pass met something that it did not expect.
        """
        name = getattr(change, "__name__", "pass")
        started = time.perf_counter()
        try:
            model = change(self.model)
        except KexportError:
            raise
        except Exception as error:
            raise PassFailed(
                f"pass {name} failed after {self._passed()}: {error}",
                hint="report this with the model; it is a fault of kexport",
            ) from error
        seconds = time.perf_counter() - started
        step = Step(name, seconds, len(self.model.graph), len(model.graph))
        return replace(self, model=model, steps=(*self.steps, step))

    def _passed(self) -> str:
        return ", ".join(step.name for step in self.steps) or "no other"

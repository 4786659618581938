"""What a rule and a finding are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from kexport.lint.context import Place, Subject

Severity = Literal["silent", "error", "warning"]
"""silent: builds and computes something else; error: does not build; warning: may not be meant."""

SEVERITIES: tuple[str, ...] = get_args(Severity)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a graph must not have."""

    name: str
    severity: Severity
    find: Callable[[Subject], Iterator[Place]]
    effect: str
    """What happens on the device."""
    mend: str
    """What to do, as an imperative."""
    source: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a graph breaks a rule."""

    rule: str
    severity: Severity
    node: str
    """The node's name, or the graph's input or output; "" for the graph as a whole."""
    operator: str
    what: str
    effect: str
    mend: str
    source: str

    @property
    def refuses(self) -> bool:
        """Whether the graph must not go to the device."""
        return self.severity != "warning"

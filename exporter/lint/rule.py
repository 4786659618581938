"""Lint rules and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from kexport.lint.context import LintContext, Violation

Severity = Literal["silent", "error", "warning"]
"""silent: builds, but computes something else; error: does not build; warning: may be a mistake."""

SEVERITIES: tuple[str, ...] = get_args(Severity)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that a graph must not contain."""

    name: str
    severity: Severity
    find: Callable[[LintContext], Iterator[Violation]]
    effect: str
    """What happens on the device."""
    fix: str
    """What to do, as an imperative."""
    source: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation with its rule; the fields are the keys of `findings` in manifest.json."""

    rule: str
    severity: Severity
    node: str
    """The node's name, or the graph's input or output; "" for the graph as a whole."""
    operator: str
    what: str
    """The violation's message."""
    effect: str
    mend: str
    """The rule's fix."""
    source: str

    @property
    def refuses(self) -> bool:
        """Whether the graph must not go to the device."""
        return self.severity != "warning"

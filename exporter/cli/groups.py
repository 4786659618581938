"""Option groups: options under one heading that reach their command as one value."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from kexport.cli.command import Option

Declaration = Callable[..., Callable[[Any], Any]]
"""`click.option` with everything but the parameter's name, its heading and its argument."""


def declare(*names: str, **attributes: Any) -> Declaration:
    """Describe an option; the group or command that it is given to names its heading."""
    return functools.partial(click.option, *names, **attributes)


def under(heading: str, declaration: Declaration, argument: str) -> Callable[[Any], Any]:
    """Turn a declaration into the decorator of a command."""
    field = argument.rpartition(".")[2]
    return declaration(field, cls=Option, heading=heading, argument=argument)


@dataclass(frozen=True, slots=True)
class Group:
    """The options of one heading, as a decorator that passes them to a command as one argument.

    `options` has one declaration for each field of what `build` makes. Fields are the names of
    click's parameters, so no two groups of a command may share one.
    """

    name: str
    """The command's argument."""
    heading: str
    build: Callable[..., Any]
    options: Mapping[str, Declaration]
    prefix: str = ""
    """The argument of `kexport.export` that takes the value, with a dot; empty where each option is
    an argument of its own."""

    def __call__(self, command: Callable[..., Any]) -> Callable[..., Any]:
        """Add the options to a command."""

        @functools.wraps(command)
        def collecting(*arguments: Any, **others: Any) -> Any:
            value = self.build(**{field: others.pop(field) for field in self.options})
            return command(*arguments, **{self.name: value}, **others)

        decorated = collecting
        for field, declaration in reversed(list(self.options.items())):
            decorated = under(self.heading, declaration, f"{self.prefix}{field}")(decorated)
        return decorated

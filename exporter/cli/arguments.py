"""Translation of the library's messages: arguments of Python become options.

The library names an argument of `kexport.export` between backticks, as `calibration.max_drop` or,
with a value, as `recipe.weights='random'`. The command line prints `--max-drop` and
`--weights random`.
"""

import ast
import re
import shlex
from collections.abc import Mapping

import click

from kexport.cli.command import Option

_ARGUMENT = re.compile(r"`(?P<name>[a-z_0-9]+(?:\.[a-z_0-9]+)?)(?:=(?P<value>[^`]*))?`")


def options_by_argument(group: click.Group) -> dict[str, Option]:
    """Return the options of all commands by the arguments that they set."""
    return {
        option.argument: option
        for command in group.commands.values()
        for option in command.params
        if isinstance(option, Option)
    }


def as_options(text: str, options: Mapping[str, Option]) -> str:
    """Put options in the place of the arguments that a message names; leave all others alone."""
    return _ARGUMENT.sub(lambda found: _option(found, options), text)


def _option(found: re.Match[str], options: Mapping[str, Option]) -> str:
    option = options.get(found["name"])
    if option is None:
        return found[0]
    if option.is_flag or found["value"] is None:
        return option.long_name
    return f"{option.long_name} {_word(found['value'])}"


def _word(value: str) -> str:
    """Write a Python value as on the command line, and a placeholder such as PATH as it is."""
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value.strip("()").replace(" ", "")
    if isinstance(literal, tuple):
        return ",".join(map(str, literal))
    if isinstance(literal, dict):
        return shlex.quote(",".join(f"{name}={value}" for name, value in literal.items()))
    return shlex.quote(str(literal))

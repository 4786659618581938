"""Config file of `kexport export`: options by their long names, in TOML.

    [export]
    model = "mobilenet_v2"
    target = "trt-fp16"
    input-shape = [224, 224]

Values are parsed by the options themselves, as if they stood on the command line.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from kexport.cli.types import (
    PathOr,
    batch_size,
    image_shape,
    numbers,
    positive,
    share,
    value_range,
    words,
)
from kexport.errors import BadArgument, did_you_mean

NAME = "kexport.toml"
"""The file that is read from the current folder unless another is named."""

TABLE = "export"

COMMAND_LINE_ONLY = ("config", "help", "json", "no-config", "trust")
"""Options that a file cannot set. A file may come with the model, so that it must not be able to
say that the model is to be trusted."""

_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text in quotes"}


@dataclass(frozen=True, slots=True)
class Config:
    """A config file that was read."""

    path: Path
    values: Mapping[str, Any]
    """Values by the names of click's parameters, as `click.Context.default_map` takes them."""


def find(folder: Path) -> Path | None:
    """Return the config file in a folder, if there is one."""
    path = folder / NAME
    return path if path.exists() else None


def read(path: Path, context: click.Context) -> Config:
    """Read a config file for the command of a context.

    Raises:
        BadArgument: the file cannot be read, is not TOML, or has a table, a key or a value that
            the command does not know.
    """
    document = _parse(path)
    for name in document:
        if name != TABLE:
            raise BadArgument(
                f"{path} has an unknown key '{name}'",
                hint=did_you_mean(name, [TABLE]) or f"put all options under [{TABLE}]",
            )
    table = document.get(TABLE, {})
    if not isinstance(table, dict):
        raise BadArgument(
            f"{path}: {TABLE} must be a table, not {table!r}", hint=f"write [{TABLE}] above options"
        )
    return Config(path, MappingProxyType(values_of(table, f"{path}", path.parent, context)))


def values_of(
    table: Mapping[str, Any], where: str, folder: Path, context: click.Context
) -> dict[str, Any]:
    """Check a table of options, and return its values by the names of click's parameters.

    Args:
        table: values by the long names of options, without dashes, and by `model`.
        where: the file, for messages.
        folder: what relative paths in the table are relative to.
        context: the context of the command; the command's options parse the values.

    Raises:
        BadArgument: an unknown key, a value of the wrong type, or one that its option refuses.
    """
    parameters = dict(_keys(context))
    values = {}
    for key, value in table.items():
        if key not in parameters:
            raise _unknown(key, where, parameters)
        parameter = parameters[key]
        raw = _as_words(parameter, key, value, where)
        raw = _relative_to(folder, parameter.type, raw)
        _check(parameter, key, raw, where, context)
        values[str(parameter.name)] = raw
    return values


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadArgument(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}",
            hint="give the path of a config file, or leave out --config",
        ) from error
    except UnicodeDecodeError as error:
        raise BadArgument(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
        raise BadArgument(
            f"{path} is not valid TOML: {reason[:1].lower()}{reason[1:]}",
            hint="write text in quotes, and lists in brackets",
        ) from error


def _keys(context: click.Context) -> Iterator[tuple[str, click.Parameter]]:
    """Yield each parameter that a file can set, by its key."""
    for parameter in context.command.get_params(context):
        key = max(parameter.opts, key=len).lstrip("-")
        if key not in COMMAND_LINE_ONLY:
            yield key, parameter


def _unknown(key: str, where: str, known: Iterable[str]) -> BadArgument:
    if key in COMMAND_LINE_ONLY:
        return BadArgument(
            f"{where}: {key} cannot be set in a file", hint=f"give --{key} on the command line"
        )
    return BadArgument(
        f"{where} has an unknown key '{key}'",
        hint=did_you_mean(key, known) or "see the options with: kexport export --help",
    )


def _as_words(parameter: click.Parameter, key: str, value: Any, where: str) -> Any:
    """Return a value of TOML in the form that the option parses."""
    kinds = _kinds_of(parameter)
    several = parameter.multiple if isinstance(parameter, click.Option) else False
    listed = several or _function_of(parameter) in (image_shape, numbers, value_range, words)
    items = value if listed and isinstance(value, list) else [value]
    for item in items:
        if type(item) not in kinds:
            wanted = " or ".join(dict.fromkeys(_KINDS[kind] for kind in kinds))
            raise BadArgument(
                f"{where}: {key} must be {wanted}, not {_toml(item)}",
                hint=f"see what --{key} takes with: kexport export --help",
            )
    if several:
        return items
    if isinstance(value, list):
        return ",".join(map(str, items))
    return value


def _kinds_of(parameter: click.Parameter) -> tuple[type, ...]:
    """Return the types of TOML that an option takes, alone or in a list."""
    if _function_of(parameter) in (batch_size, image_shape):
        return (int, str)
    if _function_of(parameter) in (numbers, value_range):
        return (int, float, str)
    if _function_of(parameter) in (positive, share):
        return (int, float)
    kinds: tuple[tuple[type, tuple[type, ...]], ...] = (
        (click.types.BoolParamType, (bool,)),
        (click.types.IntParamType, (int,)),
        (click.types.FloatParamType, (int, float)),
    )
    return next((taken for kind, taken in kinds if isinstance(parameter.type, kind)), (str,))


def _function_of(parameter: click.Parameter) -> Any:
    """Return the function of `kexport.cli.types` that reads a parameter, if one does."""
    return getattr(parameter.type, "func", None)


def _toml(value: Any) -> str:
    """Return a value as TOML writes it, as far as it matters in a message."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _relative_to(folder: Path, kind: object, value: Any) -> Any:
    if isinstance(kind, PathOr) and kind.is_path(value):
        return str(folder / value)
    return value


def _check(
    parameter: click.Parameter, key: str, value: Any, where: str, context: click.Context
) -> None:
    """Let the option parse the value, so that an error names the file and the key."""
    try:
        parameter.process_value(context, value)
    except click.BadParameter as error:
        reason = error.message.removesuffix(".")
        raise BadArgument(
            f"{where}: {key} has an invalid value: {reason[:1].lower()}{reason[1:]}",
            hint=f"see what --{key} takes with: kexport export --help",
        ) from error

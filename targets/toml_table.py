"""Strict reading of the TOML files: every key known, of its type, and with a source."""

import tomllib
from collections.abc import Collection, Mapping
from typing import Any

UNKNOWN = "not known"
"""How the source of a fact begins that the file leaves out because nobody could say it."""


def read_table(
    text: str,
    where: str,
    kinds: Mapping[str, type],
    *,
    optional: Collection[str] = (),
    self_evident: Collection[str] = (),
) -> dict[str, Any]:
    """Read one file: `kinds` has the type of every key, `self_evident` those without a source.

    The table `source` says of each fact where it comes from; a fact that is not known is left out,
    and its source begins with "not known".

    Raises ValueError if a key is missing, unknown, of the wrong type or without a source. The
    files are shipped with kexport, so that is an error of whoever edits them.
    """
    table = tomllib.loads(text)
    kinds = {**kinds, "source": dict}
    if unknown := sorted(table.keys() - kinds.keys()):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}")
    if missing := sorted(kinds.keys() - set(optional) - table.keys()):
        raise ValueError(f"{where}: key {missing[0]!r} is missing")
    for key, value in table.items():
        if type(value) is not kinds[key]:
            raise ValueError(f"{where}: {key!r} is not of type {kinds[key].__name__}")
    unsaid = {
        key for key, said in table["source"].items() if key in optional and said.startswith(UNKNOWN)
    }
    facts = (table.keys() | unsaid) - set(self_evident) - {"source"}
    if facts != table["source"].keys():
        fact = sorted(facts ^ table["source"].keys())[0]
        raise ValueError(f"{where}: the fact {fact!r} and its source do not both stand there")
    return table


def release(version: str) -> tuple[int, ...]:
    """Return a version as numbers that compare: "10.3" is newer than "8.6.2"."""
    return tuple(int(part) for part in version.split("."))


def begins(prefix: str, version: str) -> bool:
    """Whether `version` is `prefix` or a release of it: "5.1" begins 5.1.4 and not 5.10."""
    return f"{version}.".startswith(f"{prefix}.")


def matches(one: str, other: str) -> bool:
    """Whether either of two versions is the beginning of the other."""
    return begins(one, other) or begins(other, one)

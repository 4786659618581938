"""What several commands share, and the checks of options that click has no type for."""

from typing import Literal

import click

Batch = int | Literal["dynamic"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def batch(context: click.Context, parameter: click.Parameter, value: str) -> Batch:
    """Read a number of pictures from 1, or the word `dynamic`."""
    if value == "dynamic":
        return "dynamic"
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"'{value}' is neither a number from 1 nor 'dynamic'")
    return int(value)


def shape(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int, int] | None:
    """Read `H,W` or `H,W,C`; return (height, width, channels), three channels if none are given."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"'{value}' is not of the form H,W or H,W,C, such as 299,299")
    height, width, *channels = (int(part) for part in parts)
    return height, width, channels[0] if channels else 3

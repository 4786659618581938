"""The table of `kexport passes`."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from kexport.cli.tables.table import headed


def passes_table(phases: Iterable[Mapping[str, Any]]) -> Table:
    """Lay out one row for each step, with the name of its phase on the first row of that phase."""
    rows = headed("phase", "pass", "purpose")
    for number, phase in enumerate(phases, 1):
        head = f"{number} {phase['name']}"
        for step in phase["steps"]:
            mark = "*" if step["kind"] == "measurement" else ""
            rows.add_row(head, f"{step['name']}{mark}", step["purpose"])
            head = ""
    return rows

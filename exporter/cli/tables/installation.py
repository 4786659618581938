"""Tables of what is installed: Keras Applications, and the doctor's checks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from kexport.cli.tables.table import headed

if TYPE_CHECKING:
    from kexport.cli.installation import Check
    from kexport.zoo import Application

_PREPROCESSING = {
    "tf": "tf: -1..1",
    "caffe": "caffe: BGR, minus the mean",
    "torch": "torch: mean and deviation",
    "none": "none",
}


def applications_table(applications: Iterable["Application"]) -> Table:
    """List Keras Applications, one in a row."""
    table = headed("model", "keras.applications", "image", "preprocessing", right=("image",))
    for row in applications:
        mode = "inside the model" if row.inside else _PREPROCESSING[row.mode]
        table.add_row(row.name, row.builder, f"{row.size} x {row.size}", mode)
    return table


def checks_table(checks: Iterable["Check"]) -> Table:
    """List the results of the doctor's checks."""
    table = headed("what", "state", "found", "to do")
    for check in checks:
        table.add_row(check.subject, check.state, check.detail, check.advice or "")
    return table

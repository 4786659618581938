"""Options that several commands share."""

import click

from kexport.cli.command import Option
from kexport.cli.groups import declare, under

as_json = click.option(
    "--json", "as_json", cls=Option, is_flag=True, help="Print the result as one JSON object."
)

JETPACK = declare(
    "--jetpack",
    metavar="VERSION",
    show_default="the newest",
    help="JetPack on the device; 5.1 means the newest 5.1.x.",
)
TENSORRT = declare(
    "--tensorrt",
    metavar="VERSION",
    show_default="the one in the JetPack, or the newest",
    help="TensorRT on the device.",
)

jetpack = under("Toolchain", JETPACK, "toolchain.jetpack")
tensorrt = under("Toolchain", TENSORRT, "toolchain.tensorrt")

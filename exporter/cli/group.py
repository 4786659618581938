"""Group of all commands: `kexport MODEL ...` is short for `kexport export MODEL ...`."""

import click

from kexport import __version__
from kexport.cli.check import check
from kexport.cli.doctor import doctor
from kexport.cli.export import export
from kexport.cli.models import models
from kexport.cli.passes import passes
from kexport.cli.run import run
from kexport.cli.targets import targets
from kexport.cli.verify import verify

_OWN_OPTIONS = frozenset({"--help", "-h", "--version"})


class DefaultGroup(click.Group):
    """A group that runs `export` if the first word is not a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the word `export` if it was left out."""
        if args and args[0] not in self.commands and args[0] not in _OWN_OPTIONS:
            args = ["export", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the short form first."""
        formatter.write_usage(ctx.command_path, "MODEL --target TARGET [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order in which a user meets them."""
        return list(self.commands)


_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.group(cls=DefaultGroup, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="kexport", message="%(prog)s %(version)s")
def program() -> None:
    """Take a Keras model to the device it must run on, and prove that it computes the same.

    MODEL is a Keras Application in any spelling (see `kexport models`) or a .keras or .h5 file;
    TARGET is a device and a precision (see `kexport targets`). Without the name of a command,
    `kexport` exports; the options are those of `kexport export`.
    """


for _command in (export, models, targets, passes, verify, run, check, doctor):
    program.add_command(_command)

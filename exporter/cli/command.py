"""Command with its options under headings in the help text."""

from typing import Any

import click

GENERAL = "General"


class Option(click.Option):
    """An option with a heading, and the name of the Python argument that it sets.

    `argument` is the name in messages of the library, such as `calibration.max_drop`; see
    `kexport.cli.arguments`.
    """

    def __init__(
        self, *names: Any, heading: str = GENERAL, argument: str | None = None, **attributes: Any
    ) -> None:
        super().__init__(*names, **attributes)
        self.heading = heading
        self.argument = argument or self.name or ""

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return the default as `default: the newest`; click puts a description in brackets."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra

    @property
    def long_name(self) -> str:
        """The longest of its names, such as `--output` of `-o` and `--output`."""
        return max(self.opts, key=len)


class Command(click.Command):
    """A command whose help lists options by heading, in the order in which headings appear."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each heading; a single one is called Options, as click does."""
        sections = options_by_heading(self, ctx)
        for heading, options in sections.items():
            records = [record for option in options if (record := option.get_help_record(ctx))]
            with formatter.section(heading if len(sections) > 1 else "Options"):
                formatter.write_dl(records)


def options_by_heading(
    command: click.Command, context: click.Context
) -> dict[str, list[click.Option]]:
    """Return the options of a command by heading; click's own, such as --help, are general."""
    found: dict[str, list[click.Option]] = {}
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            found.setdefault(getattr(parameter, "heading", GENERAL), []).append(parameter)
    return found

"""Help texts: options under headings, each with its default."""

import click
import pytest

from kexport.cli import main
from kexport.cli.command import options_by_heading
from kexport.cli.group import program

Capture = pytest.CaptureFixture[str]

HEADINGS = [
    *("General", "Model", "Image input", "Task", "Comparison with Keras", "INT8", "Toolchain"),
    "Output",
]

NOT_SET = ("--target", "--calibration-data", "--help")
"""Options with a value, or click's own, that have no default to show."""


def test_export_lists_its_options_under_headings(capsys: Capture) -> None:
    assert main(["export", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and line[:1] != " "] == HEADINGS
    sections = "\n".join(lines).split("\n\n")
    (int8,) = [section for section in sections if section.startswith("INT8:")]
    names = [line.split()[0] for line in int8.splitlines() if line.startswith("  -")]
    assert names == [
        "--calibration-data",
        "--calibration-method",
        "--calibration-cache",
        "--max-drop",
        "--int8-share",
        "--eval-data",
        "--ship-images",
        "--require-speedup",
    ]


def test_the_help_says_each_default_in_one_form(capsys: Capture) -> None:
    main(["export", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "[default: softmax]" in words
    assert "[default: MODEL-TARGET]" in words
    assert "[default: any speed]" in words
    assert "[default: (" not in words


def test_a_command_with_one_heading_calls_it_options(capsys: Capture) -> None:
    assert main(["verify", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Options:\n" in out
    assert "General:" not in out


@pytest.mark.parametrize("name", ["check", "targets"])
def test_other_commands_group_their_options_too(name: str, capsys: Capture) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "\nToolchain:\n  --jetpack VERSION" in out
    assert "\nGeneral:\n" in out


@pytest.mark.parametrize("name", program.commands)
def test_every_option_has_a_help_text_and_a_default(name: str) -> None:
    command = program.commands[name]
    root = click.Context(program, info_name="kexport", **program.context_settings)
    context = click.Context(command, info_name=name, parent=root)
    for options in options_by_heading(command, context).values():
        for option in options:
            assert option.help, option.name
            assert option.help.endswith("."), option.help
            if not option.is_flag and option.opts[0] not in NOT_SET:
                assert "default" in option.get_help_extra(context), option.name

"""Errors and Ctrl-C during an export: the message, the hint and the exit status."""

import json
from typing import Any

import click
import pytest
from fake_export import Fake

from kexport import errors
from kexport.cli import main
from kexport.runtime import errors as faults

ERRORS = [
    *errors.KexportError.__subclasses__(),
    *faults.RuntimeFault.__subclasses__(),
    errors.KexportError,
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_is_two_lines_and_its_exit_status(
    error: type[errors.KexportError], fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error("it broke", hint="fix it")

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == error.exit_code
    assert capsys.readouterr() == ("", "error: it broke\nhint: fix it\n")
    assert main(["vgg16", "-t", "cpu-fp32", "-q", "--json"]) == error.exit_code
    report = json.loads(capsys.readouterr().out)
    assert report == {"error": "it broke", "hint": "fix it", "exit_status": error.exit_code}


def test_an_error_without_a_hint_is_one_line(
    fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise errors.OutputFailed("disk full")

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 10
    assert capsys.readouterr().err == "error: disk full\n"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, click.Abort])
def test_an_interrupt_ends_with_130(
    stop: type[BaseException], fake_export: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: Any, **options: Any) -> None:
        raise stop

    fake_export(interrupt)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 130
    assert capsys.readouterr().err.strip() == "error: stopped; nothing was written"


def test_an_interrupt_that_an_import_turns_into_an_error_ends_with_130(fake_export: Fake) -> None:
    def fail(*args: Any, **options: Any) -> None:
        try:
            raise ImportError("initialization failed") from KeyboardInterrupt()
        except ImportError as error:
            raise errors.MissingDependency("onnxruntime does not load") from error

    fake_export(fail)
    assert main(["vgg16", "-t", "cpu-fp32", "-q"]) == 130


def test_a_bug_is_not_hidden(fake_export: Fake) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("a bug")

    fake_export(fail)
    with pytest.raises(ZeroDivisionError):
        main(["vgg16", "-t", "cpu-fp32", "-q"])

"""Entry point: run one command, and turn an error into a message and an exit status."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from kexport.cli.arguments import as_options, options_by_argument
from kexport.cli.group import program
from kexport.cli.messages import tell
from kexport.errors import KexportError, StoppedLate

if TYPE_CHECKING:
    from kexport.runtime.errors import RuntimeFault

INTERRUPTED = 130


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line on `args`, by default those of the process; return the exit status."""
    words = list(sys.argv[1:] if args is None else args)
    as_json = "--json" in words
    silence()
    try:
        status = program.main(words, prog_name="kexport", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as stop:
        return _stopped(stop, as_json=as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(_message_of(error), _hint_of(error), error.exit_code, as_json=as_json)
    except _errors_of_users() as error:
        # a library that is being imported turns KeyboardInterrupt into an error of its own
        if any(isinstance(cause, KeyboardInterrupt) for cause in _chain(error)):
            return _stopped(error, as_json=as_json)
        return _fail(*_translated(error), error.exit_code, _details_of(error), as_json=as_json)
    return status if isinstance(status, int) else 0


def _stopped(stop: BaseException, *, as_json: bool) -> int:
    late = [error for error in _chain(stop) if isinstance(error, StoppedLate)]
    done = str(late[0]) if late else "nothing was written"
    return _fail(f"stopped; {done}", None, INTERRUPTED, as_json=as_json)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _fail(
    message: str, hint: str | None, status: int, details: Sequence[str] = (), *, as_json: bool
) -> int:
    tell(message, hint, details)
    if as_json:
        more = {"details": details} if details else {}
        found = {"error": message, "hint": hint, "exit_status": status, **more}
        click.echo(json.dumps(found, indent=2))
    return status


def _translated(error: "KexportError | RuntimeFault") -> tuple[str, str | None]:
    """Return the message and the hint of an error, with options for the arguments in them."""
    options = options_by_argument(program)
    return as_options(str(error), options), error.hint and as_options(error.hint, options)


def _details_of(error: "KexportError | RuntimeFault") -> list[str]:
    """Return the lines below an error, with options for the arguments in them."""
    options = options_by_argument(program)
    return [as_options(line, options) for line in getattr(error, "details", ())]


def _message_of(error: click.ClickException) -> str:
    """Return click's message in the form of kexport's own: lower case, no full stop."""
    message = error.format_message().removesuffix(".")
    return message[:1].lower() + message[1:]


def _hint_of(error: click.ClickException) -> str | None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"see: {context.command_path} --help" if context else None


def _errors_of_users() -> tuple["type[KexportError] | type[RuntimeFault]", ...]:
    """Return the bases of all errors with a hint; `except` calls it only when there is an error."""
    from kexport.runtime.errors import RuntimeFault

    return (KexportError, RuntimeFault)


def silence() -> None:
    """Quieten the libraries and choose Keras' backend; call it before any of them is imported.

    TensorFlow announces oneDNN at every log level. It is about as fast without oneDNN, so oneDNN is
    turned off.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    for name in ("absl", "tensorflow", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")

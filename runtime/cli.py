"""Command line of run.py: answer for images with its bundle, or verify the bundle."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .answers import answers, gallery_at
from .errors import RuntimeFault
from .predict import Settings
from .session import load
from .terminal import printable
from .verify import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .answers import Answered

PARITY_FAILED = 12
"""Exit status of `--verify` for outputs outside the tolerances; faults have their own."""

_INTERRUPTED = 130


def main(bundle: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the command on a bundle and return the exit status.

    The result goes to standard output (a table for each image, with `--json` one object, with
    `--jsonl` a line for each image as soon as it is there), warnings and faults to standard error.
    After a bad image the others are still answered; after a failed verification none is.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.images and not options.verify:
        parser.error("give at least one image, or --verify")
    found: list[Answered] = []
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            warnings.simplefilter("always", RuntimeWarning)
            status, report = _verified(bundle, options)
            if options.jsonl and "verification" in report:
                _print(json.dumps(report, default=_plain))
            if options.images and status == 0:
                status, found = _answered(bundle, options)
    except RuntimeFault as fault:
        print_fault(fault)
        return fault.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    if options.json:
        pictures = {"pictures": [one.entry() for one in found]} if found else {}
        _print(json.dumps({**report, **pictures}, indent=2, default=_plain))
    elif not options.jsonl:
        _print(_text(report, found))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="Answer for images with this bundle, or verify it."
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="an image file, a folder, a pattern such as 'shots/*.jpg', - for a list of files on "
        "standard input, or with --jsonl a video file or camera:0",
    )
    parser.add_argument(
        "-k",
        "--top-k",
        type=_count,
        metavar="K",
        help="how many classes or neighbours to print (default 5)",
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        metavar="X",
        help="least score that means yes (default: the bundle's)",
    )
    parser.add_argument(
        "--iou",
        type=_share,
        metavar="X",
        help="largest overlap of two boxes of one class (default: the bundle's)",
    )
    parser.add_argument(
        "--gallery",
        metavar="PATH",
        help="a folder of known images, or a .npz file of their vectors, to find the nearest in",
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="write each answer to a file in this folder"
    )
    parser.add_argument("--threads", type=_count, metavar="N", help="threads within an operation")
    parser.add_argument(
        "--verify", action="store_true", help="first check hashes and golden outputs"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--jsonl", action="store_true", help="print a line of JSON for each image")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {text!r}")
    return number


def _verified(bundle: Path, options: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    if not options.verify:
        return 0, {}
    verification = verify(bundle, threads=options.threads)
    return 0 if verification.passed else PARITY_FAILED, {"verification": verification}


def _answered(bundle: Path, options: argparse.Namespace) -> tuple[int, list[Answered]]:
    session = load(bundle, threads=options.threads, check=not options.verify)
    gallery = None if options.gallery is None else gallery_at(session, options.gallery)
    settings = Settings(options.top_k, options.threshold, gallery, options.iou)
    status, kept = 0, []
    for found in answers(
        session, options.images, sys.stdin, settings, options.save, videos=options.jsonl
    ):
        if found.fault is not None:
            print_fault(found.fault)
            status = found.fault.exit_code
        if options.jsonl:
            _print(json.dumps(found.entry()))
        else:
            kept.append(found)
    return status, kept


def _text(report: dict[str, Any], found: Sequence[Answered]) -> str:
    """Return the verification, and for each image its name and its rows, columns aligned."""
    parts = [str(report["verification"])] if "verification" in report else []
    shown = [(one.image, one.answer) for one in found if one.answer is not None]
    tables = [[[*map(printable, row)] for row in answer.rows()] for _, answer in shown]
    widths = [max(map(len, column)) for column in zip(*(row for table in tables for row in table))]
    for (image, _), table in zip(shown, tables):
        lines = [printable(image)]
        for *cells, last in table:
            padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths)]
            lines.append("  ".join(["", *padded, last]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _print(text: str) -> None:
    sys.stdout.write(_encodable(f"{text}\n" if text else ""))
    sys.stdout.flush()


def _encodable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _plain(verification: Verification) -> dict[str, Any]:
    return verification.as_dict()


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    sys.stderr.write(f"warning: {printable(str(message))}\n")


def print_fault(fault: RuntimeFault) -> None:
    """Print a fault and its hint on standard error."""
    sys.stderr.write(f"error: {printable(str(fault))}\n")
    if fault.hint:
        sys.stderr.write(f"hint: {printable(fault.hint)}\n")

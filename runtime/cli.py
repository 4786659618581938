"""Command line of run.py: classify images with its bundle, or verify the bundle."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .errors import BadImage, RuntimeFault
from .session import load
from .terminal import printable
from .verify import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PARITY_FAILED = 12
"""Exit status of `--verify` for outputs outside the tolerances; faults have their own."""

_INTERRUPTED = 130


def main(bundle: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the command on a bundle and return the exit status.

    The result goes to standard output (a table for each image, or with `--json` one object),
    warnings and faults to standard error. After a bad image the others are still classified; after
    a failed verification none is.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.images and not options.verify:
        parser.error("give at least one image, or --verify")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            warnings.simplefilter("always", RuntimeWarning)
            status, report = _verified(bundle, options)
            if options.images and status == 0:
                status, classified = _classified(bundle, options)
                report = {**report, **classified}
    except RuntimeFault as fault:
        print_fault(fault)
        return fault.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    text = json.dumps(report, indent=2, default=_plain) if options.json else _text(report)
    sys.stdout.write(_encodable(f"{text}\n" if text else ""))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="Classify images with this bundle, or verify it."
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="an image file")
    parser.add_argument(
        "-k", "--top-k", type=_count, metavar="K", help="how many classes to print (default 5)"
    )
    parser.add_argument("--threads", type=_count, metavar="N", help="threads within an operation")
    parser.add_argument(
        "--verify", action="store_true", help="first check hashes and golden outputs"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")
    return int(text)


def _verified(bundle: Path, options: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    if not options.verify:
        return 0, {}
    verification = verify(bundle, threads=options.threads)
    return 0 if verification.passed else PARITY_FAILED, {"verification": verification}


def _classified(bundle: Path, options: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    session = load(bundle, threads=options.threads, check=not options.verify)
    status = 0
    answers: list[dict[str, Any]] = []
    for name in options.images:
        try:
            found = session.classify(name, top_k=options.top_k)
            answers.append({"picture": name, "predictions": [asdict(item) for item in found]})
        except BadImage as fault:
            print_fault(fault)
            status = fault.exit_code
            answers.append({"picture": name, "error": str(fault)})
    return status, {"pictures": answers}


def _text(report: dict[str, Any]) -> str:
    parts = [str(report["verification"])] if "verification" in report else []
    answers = [answer for answer in report.get("pictures", []) if "predictions" in answer]
    labels = [item["label"] for answer in answers for item in answer["predictions"]]
    width = max((len(printable(label)) for label in labels), default=0)
    for answer in answers:
        rows = [
            f"  {printable(item['label']):<{width}}  {item['score']:.4f}"
            for item in answer["predictions"]
        ]
        parts.append("\n".join([printable(answer["picture"]), *rows]))
    return "\n\n".join(parts)


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

"""Rejected bundles: keep a bundle that failed, so that the failure can be examined."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from kexport.bundle.publish import publish
from kexport.bundle.replaceable import obstacle
from kexport.errors import OutputExists


def keep(work: Path, output: Path) -> str:
    """Move a folder, created by `staging`, to `<output>.rejected`; return a sentence with its path.

    An existing rejected bundle is replaced; if the path is anything else, the name gets a number.
    """
    try:
        path = _free(output)
        publish(work, path, force=True)
    except (OutputExists, OSError) as error:
        return f"the rejected files could not be kept: {error}"
    return f"the rejected files are in {path}"


def _free(output: Path) -> Path:
    first = output.with_name(f"{output.name}.rejected")
    numbered = (output.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(
        path
        for path in itertools.chain([first], numbered)
        if not os.path.lexists(path) or obstacle(path) is None
    )

"""Keeps a bundle that failed, for whoever wants to know why."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from kexport.bundle.publish import publish
from kexport.bundle.replaceable import obstacle
from kexport.errors import OutputExists


def keep(work: Path, output: Path) -> str:
    """Move a folder, made by `staging`, to `<output>.rejected`, and say where it is.

    A rejected bundle that is there is replaced; where anything else is, the name gets a number.
    """
    try:
        place = _free(output)
        publish(work, place, force=True)
    except (OutputExists, OSError) as error:
        return f"the rejected files could not be kept: {error}"
    return f"the rejected files are in {place}"


def _free(output: Path) -> Path:
    first = output.with_name(f"{output.name}.rejected")
    numbered = (output.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(
        place
        for place in itertools.chain([first], numbered)
        if not os.path.lexists(place) or obstacle(place) is None
    )

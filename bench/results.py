"""Results of long runs, a line of JSON each, so that a run that was cut off goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Results:
    """The last result of each model and target, and the file that has them all."""

    path: Path
    found: dict[tuple[str, str], Result]

    def add(self, result: Result) -> None:
        """Keep a result, and append it to the file at once."""
        self.found[result["model"], result["target"]] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(result)}\n")

    def is_done(self, model: str, target: str) -> bool:
        """Say whether there is a good result already."""
        return bool(self.found.get((model, target), {}).get("ok"))


def open_results(path: Path, *, resume: bool) -> Results:
    """Read the file; with `resume` false start a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not resume:
        path.unlink(missing_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines if line.strip()]
    return Results(path, {(result["model"], result["target"]): result for result in results})


def failed(model: str, target: str, why: str) -> Result:
    """Return the result of a process that did not report one."""
    return {"model": model, "target": target, "ok": False, "message": why}

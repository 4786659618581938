"""Ablation of the passes: nodes, bytes and latency of the cpu-fp32 graph without each of them.

python bench/passes.py [--models densenet121,attention] [--rounds 6] [--out docs/bench.md]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import models
from machine import PACKAGES, machine, versions
from page import joined, put_section, table
from pass_cases import CASES, Case
from process import answer, measure
from rounds import Times, interleave

NEEDED = frozenset({"infer_shapes", "convert_opset", "check_model"})
"""Passes that a valid graph needs; they do not improve it."""


def names() -> list[str]:
    """Return the names of the passes that can be left out, in order."""
    found = dict.fromkeys(step.__name__ for step in whole(CASES["mobilenet_v3_small"])[2:])
    return [name for name in found if name not in NEEDED]


def whole(case: Case) -> tuple[Any, ...]:
    """Return all passes from the converted graph to that of a cpu-fp32 bundle for one image."""
    from kexport import targets
    from kexport.passes.pipeline import GraphFormat

    target = targets.find("cpu-fp32")
    return models.fp32_passes(case.mode, GraphFormat.of(target), case.pixels)


def variants(case: Case) -> dict[str, tuple[Any, ...]]:
    """Return, by the pass left out, all other passes; under "" all."""
    return {
        left_out: tuple(step for step in whole(case) if step.__name__ != left_out)
        for left_out in ("", *names())
    }


def once(name: str, rounds: int) -> dict[str, Any]:
    """Measure nodes, bytes and times of one model by the pass left out, in this process.

    A graph that is equal to that of the whole pipeline, byte for byte, is not timed. Others are
    timed against it in two sessions each, one opened first and one last: the memory that a session
    happens to get changes the time more than some passes do.
    """
    from kexport.conversion import convert_model
    from kexport.graph import save
    from kexport.passes import pipeline
    from kexport.source.synthetic_images import draw_images

    case = CASES[name]
    source = convert_model(case.model()).model
    feeds = {"image": draw_images(1, case.size, case.size)[..., : case.pixels.channels]}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        every = Path(folder, "every.onnx")
        for left_out, passes in variants(case).items():
            graph = pipeline.run(source, passes).model
            path = Path(folder, "without.onnx") if left_out else every
            save.save(graph, path)
            one = {"nodes": len(graph.graph), "bytes": path.stat().st_size}
            if not left_out or path.read_bytes() != every.read_bytes():
                one["times"] = timed(every, path, feeds, rounds)
            found[left_out] = one
    return found


def timed(every: Path, without: Path, feeds: Any, rounds: int) -> dict[str, list[float]]:
    """Time both graphs, round by round in two sessions each."""
    opened = {"first": every, "second": without, "third": without, "fourth": every}
    sessions = {at: models.onnx_session(path, 1) for at, path in opened.items()}
    runs = {
        at: lambda session=session: session.run(None, feeds) for at, session in sessions.items()
    }
    times = interleave(runs, rounds=rounds, clock=time.process_time)
    first, second, third, fourth = (list(times[at].rounds) for at in opened)
    return {"every": first + fourth, "without": second + third}


def cells(found: dict[str, Any], left_out: str) -> str:
    """Format the additional nodes and kilobytes, and the time relative to the whole pipeline.

    The whole pipeline itself has absolute numbers.
    """
    if "error" in found:
        return found["error"]
    one, every = found[left_out], found[""]
    if "times" not in one:
        return "the same"
    times = {which: Times(tuple(seconds)) for which, seconds in one["times"].items()}
    if not left_out:
        return f"{one['nodes']}, {one['bytes'] / 1e3:.0f} kB, {times['every'].least * 1e3:.2f} ms"
    ratio = times["without"].over(times["every"])
    kilobytes = (one["bytes"] - every["bytes"]) / 1e3
    return f"{one['nodes'] - every['nodes']:+d}, {kilobytes:+.0f} kB, {ratio:.2f} x"


def page(found: dict[str, dict[str, Any]], rows: Sequence[Sequence[str]]) -> str:
    parts = [
        "## Ablation of the passes",
        "The first row is the whole pipeline: nodes, kilobytes of the file, and milliseconds on "
        "one thread. Each other row leaves one pass out: additional nodes and kilobytes, and the "
        "time relative to the whole pipeline, or *the same* if the file is equal. ONNX Runtime's "
        "optimizer runs in every row, and makes some of the same changes.",
        f"{machine()}. {versions(PACKAGES)}.",
        table(["without", *found], rows),
    ]
    return joined(parts)


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument(
        "--models", default=",".join(CASES), help="of pass_cases.CASES, with commas"
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path, help="the page to write the table to")
    parser.add_argument("--once", metavar="MODEL", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.once:
        answer(once(asked.once, asked.rounds))
        return 0
    found = {}
    for name in asked.models.split(","):
        found[name] = measure(__file__, ["--once", name, "--rounds", str(asked.rounds)])
        for left_out in ("", *names()):
            print(name, left_out or "(nothing)", cells(found[name], left_out), sep="\t", flush=True)
    rows = [
        [left_out or "(nothing)", *(cells(one, left_out) for one in found.values())]
        for left_out in ("", *names())
    ]
    if asked.out:
        put_section(asked.out, "passes", page(found, rows), "Benchmarks")
    return int(any("error" in one for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())

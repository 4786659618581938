"""What each pass of the pipeline is worth: nodes and latency of the cpu-fp32 graph without it.

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

NEEDED = frozenset({"infer_shapes", "convert_opset", "check"})
"""Passes that others read from, that lower the opset or that look, rather than improve a graph."""


def names() -> list[str]:
    """Every pass that can be left out, in order."""
    found = dict.fromkeys(step.__name__ for step in whole(CASES["mobilenet_v3_small"])[2:])
    return [name for name in found if name not in NEEDED]


def whole(case: Case) -> tuple[Any, ...]:
    """All passes from the converted graph to that of a cpu-fp32 bundle for one image."""
    from kexport import targets
    from kexport.passes import pipeline

    target = targets.find("cpu-fp32")
    lowered = pipeline.for_float32(target.opset, blocked=target.blocked_layout)
    return (*pipeline.with_image_input(case.mode, 1, case.pixels), *lowered)


def variants(case: Case) -> dict[str, tuple[Any, ...]]:
    """The passes without one of them each, and under "" all."""
    return {
        left_out: tuple(step for step in whole(case) if step.__name__ != left_out)
        for left_out in ("", *names())
    }


def once(name: str, rounds: int) -> dict[str, Any]:
    """Nodes, bytes and times of one model by the pass left out, in this process.

    A graph that is the whole pipeline's to the last byte is not timed. The others are, against the
    whole pipeline's, in two sessions each, which are opened first and last in turn: where a session
    finds its memory counts for more than some passes do.
    """
    from kexport.conversion import convert_model
    from kexport.graph import save
    from kexport.passes import pipeline
    from kexport.source.synthetic_images import pictures

    case = CASES[name]
    source = convert_model(case.model()).model
    feeds = {"image": pictures(1, case.size, case.size)[..., : case.pixels.channels]}
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
    """Seconds of both graphs, round by round of two sessions each."""
    opened = {"first": every, "second": without, "third": without, "fourth": every}
    sessions = {at: models.onnx_session(path, 1) for at, path in opened.items()}
    runs = {
        at: lambda session=session: session.run(None, feeds) for at, session in sessions.items()
    }
    times = interleave(runs, rounds=rounds, clock=time.process_time)
    first, second, third, fourth = (list(times[at].rounds) for at in opened)
    return {"every": first + fourth, "without": second + third}


def cells(found: dict[str, Any], left_out: str) -> str:
    """Further nodes and kilobytes, and the time over the whole pipeline's; of that, all plain."""
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
        "The first row is the whole pipeline: the number of nodes, the size of the file, and the "
        "time on one thread. Each other row leaves one pass out: how many more nodes and "
        "kilobytes that gives, and the time relative to the whole pipeline, or *the same* where "
        "the file does not change. ONNX Runtime's own optimiser runs in all rows, and finds some "
        "of this by itself.",
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

"""What each pass of the pipeline is worth: nodes and latency of the cpu-fp32 graph without it.

python bench/passes.py [--models mobilenet_v2,densenet121] [--rounds 6] [--out docs/bench.md]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import PACKAGES, machine, versions
from page import put_section, table
from process import answer, measure
from rounds import Times, interleave

MODELS = "mobilenet_v3_small,mobilenet_v2,densenet121,nasnet_mobile,efficientnet_b0"

NEEDED = frozenset({"infer_shapes"})
"""Passes that others read from, rather than passes that change the graph."""


def names() -> list[str]:
    """Every pass that can be left out, in order."""
    from kexport import pipeline

    found = dict.fromkeys(step.__name__ for step in pipeline.SIMPLIFY)
    return [name for name in found if name not in NEEDED]


def variants(mode: str) -> dict[str, Any]:
    """The passes without one of them each, and under "" all."""
    from kexport import pipeline

    whole = pipeline.with_image_input(mode, 1)
    return {
        left_out: tuple(step for step in whole if step.__name__ != left_out)
        for left_out in ("", *names())
    }


def once(name: str, rounds: int) -> dict[str, Any]:
    """Nodes and times of one model by the pass left out, in this process."""
    import models

    from kexport import serialize, zoo

    application = zoo.find(name)
    model = models.build(application)
    feeds = {"image": models.picture(application.size)}
    runs, nodes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for left_out, passes in variants(application.mode).items():
            graph = models.cpu_graph(model, application.mode, passes)
            path = Path(folder, "model.onnx")
            serialize.save(graph, path)
            session = models.onnx_session(path, 1)
            runs[left_out] = lambda session=session: session.run(None, feeds)
            nodes[left_out] = len(graph.graph)
    times = interleave(runs, rounds=rounds, clock=time.process_time)
    return {"nodes": nodes, "times": {pass_: list(found.rounds) for pass_, found in times.items()}}


def cells(found: dict[str, Any], left_out: str) -> str:
    """Further nodes, and the time over the whole pipeline's; of the pipeline itself, both plain."""
    if "error" in found:
        return found["error"]
    times = {name: Times(tuple(seconds)) for name, seconds in found["times"].items()}
    nodes = found["nodes"]
    if not left_out:
        return f"{nodes['']}, {times[''].least * 1e3:.2f} ms"
    return f"{nodes[left_out] - nodes['']:+d}, {times[left_out].over(times['']):.2f} x"


def page(found: dict[str, dict[str, Any]], rows: Sequence[Sequence[str]]) -> str:
    parts = [
        "## What each pass is worth",
        "The first row is the whole pipeline: nodes, and milliseconds on one thread. The others "
        "leave one pass out: further nodes, and the time over that of the whole pipeline. ONNX "
        "Runtime's own optimiser runs in all of them.",
        f"{machine()}. {versions(PACKAGES)}.",
        table(["without", *found], rows),
    ]
    return "\n\n".join(parts)


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=MODELS, help="names, with commas")
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

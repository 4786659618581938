"""CPU latency: kexport's cpu-fp32 graph against Keras' own ONNX export, OpenVINO and LiteRT.

    python bench/latency.py [--models mobilenet_v2,resnet50] [--peers keras,litert,openvino]
        [--threads 1,0] [--rounds 10] [--cache build/bench] [--out docs/bench.md]

Batch 1, from a uint8 image. kexport's graph preprocesses it itself, and so does OpenVINO, which
reads the same file. For Keras' export and LiteRT, which take float32, Keras' own preprocess_input
runs first, within the clock; Keras' graph is also timed alone. Exports are made one at a time, each
in a process of its own, and kept in the cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pixels
from machine import PACKAGES, PEERS, machine, versions
from page import joined, number, put_section, table
from process import answer, measure
from rounds import Times, interleave

MODELS = (
    *("mobilenet_v3_small", "mobilenet_v3_large", "mobilenet", "mobilenet_v2", "nasnet_mobile"),
    *("densenet121", "densenet169", "densenet201", "xception", "inception_v3", "resnet50"),
    *("resnet50_v2", "resnet101", "resnet101_v2", "resnet152", "resnet152_v2"),
    "inception_resnet_v2",
)
"""The Applications that Keras itself exports to ONNX in less than 10 GB, lightest first."""

GOAL = 0.97
GOALS = {"mobilenet_v3_small": 1.8}
"""Lower limits of Keras' time over kexport's."""

AGREE = 1e-2
"""Largest error of a peer that is still timed, relative to the spread of kexport's output."""

FILES = {"kexport": "kexport.onnx", "keras": "keras.onnx", "litert": "litert.tflite"}


def export_once(road: str, name: str, folder: Path) -> dict[str, Any]:
    """Export one model with one tool in this process."""
    import models

    from kexport import zoo
    from kexport.graph import save

    application = zoo.find(name)
    model = models.build(application, as_called=road == "keras")
    path = folder / f"{application.name}.{FILES[road]}"
    if road == "kexport":
        save.save(models.cpu_graph(model, application.mode), path)
        return {"path": str(path)}
    import numpy as np

    model(np.zeros((1, application.size, application.size, 3), np.float32))
    model.export(str(path), format="onnx" if road == "keras" else road, verbose=False)
    if road == "keras":
        models.onnx_session(path, 1)  # some that it writes cannot be loaded
    return {"path": str(path)}


def exported(road: str, name: str, folder: Path) -> dict[str, Any]:
    """Export one model with one tool, or take it from the cache; failures are cached too."""
    path = folder / f"{name}.{FILES[road]}"
    failure = path.with_name(f"{path.name}.error")
    if failure.exists():
        return {"error": failure.read_text(encoding="utf-8")}
    if path.exists() and road != "kexport":  # ours is quick to make, and changes
        return {"path": str(path)}
    found = measure(__file__, ["--cache", str(folder), "--export", road, name])
    if "error" in found:
        path.unlink(missing_ok=True)
        if road != "kexport":
            failure.write_text(found["error"], encoding="utf-8")
    return found


def time_once(name: str, paths: dict[str, str], threads: int, rounds: int) -> dict[str, Any]:
    """Time the exports of one model in this process, in turns."""
    import models
    import numpy as np

    from kexport import zoo
    from kexport.source.preprocessing import prepare

    application = zoo.find(name)
    picture = models.image(application.size)
    pixels = np.asarray(prepare(picture, application.mode), np.float32)
    makers = {"kexport": onnx_runner, "keras": onnx_runner, "openvino": openvino_runner}
    runs: dict[str, Callable[[], Any]] = {}
    for peer, path in paths.items():
        run = makers.get(peer, litert_runner)(Path(path), threads)
        if peer == "keras":
            runs["graph"] = partial(run, pixels)
        if peer in ("keras", "litert"):
            runs[peer] = lambda run=run: run(prepare(picture, application.mode))
        else:
            runs[peer] = partial(run, picture)
    expected = np.asarray(runs["kexport"]()).reshape(-1)
    far = {}
    for peer, run in runs.items():
        distance = np.abs(np.asarray(run()).reshape(-1) - expected).max() / expected.std()
        if not distance <= AGREE:
            far[peer] = f"its output differs by {distance:.1e} of its standard deviation"
    runs = {peer: run for peer, run in runs.items() if peer not in far}
    clock = time.process_time if threads == 1 else time.perf_counter
    times = interleave(runs, rounds=rounds, clock=clock)
    return {"times": {peer: list(found.rounds) for peer, found in times.items()}, "far": far}


Runner = Callable[[Any], Any]
"""Maps an image, [1, H, W, 3], to the model's output."""


def onnx_runner(path: Path, threads: int) -> Runner:
    import models

    session = models.onnx_session(path, threads)
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def openvino_runner(path: Path, threads: int) -> Runner:
    import openvino

    config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    request = openvino.Core().compile_model(str(path), "CPU", config).create_infer_request()

    def run(image: Any) -> Any:
        request.infer([image], share_inputs=True)
        return request.get_output_tensor().data

    return run


def litert_runner(path: Path, threads: int) -> Runner:
    import os

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads or os.cpu_count())
    given = interpreter.get_input_details()[0]["index"]
    interpreter.allocate_tensors()
    result = interpreter.get_output_details()[0]["index"]

    def run(image: Any) -> Any:
        interpreter.set_tensor(given, image)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    return run


def installed(peers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the peers that can be imported, and those that cannot."""
    from importlib.util import find_spec

    modules = {"keras": "tf2onnx", "litert": "ai_edge_litert", "openvino": "openvino"}
    there = [peer for peer in peers if find_spec(modules[peer]) is not None]
    return there, [peer for peer in peers if peer not in there]


def timed(
    name: str, peers: Sequence[str], threads: int, rounds: int, cache: Path
) -> dict[str, Any]:
    """Return times by peer, and notes on peers without one."""
    ours = exported("kexport", name, cache)
    if "error" in ours:
        return {"times": {}, "far": {"kexport": ours["error"]}}
    paths, failed = {"kexport": ours["path"]}, {}
    for peer in peers:
        found = ours if peer == "openvino" else exported(peer, name, cache)
        if "error" in found:
            failed[peer] = found["error"]
        else:
            paths[peer] = found["path"]
    asked = ["--time", name, json.dumps(paths), str(threads), "--rounds", str(rounds)]
    found = measure(__file__, asked)
    if "error" in found:
        return {"times": {}, "far": {**failed, "kexport": found["error"]}}
    return {"times": found["times"], "far": {**failed, **found["far"]}}


def row(name: str, threads: int, found: dict[str, Any], peers: Sequence[str]) -> list[str]:
    times = {peer: Times(tuple(seconds)) for peer, seconds in found["times"].items()}
    ours = times.get("kexport")
    cells = [name, "all" if threads == 0 else str(threads), _milliseconds(ours)]
    for peer in peers:
        theirs = times.get(peer)
        cells.append(_milliseconds(theirs))
        cells.append(_ratio(theirs, ours))
        if peer == "keras":
            cells.append(_ratio(times.get("graph"), ours))
    return [*cells, verdict(name, times)]


def _ratio(theirs: Times | None, ours: Times | None) -> str:
    return f"{theirs.over(ours):.2f}" if theirs and ours else "-"


def _milliseconds(times: Times | None) -> str:
    """Return the minimum and the median."""
    return f"{times.least * 1e3:.2f} ({times.median * 1e3:.2f})" if times else "-"


def verdict(name: str, times: dict[str, Times]) -> str:
    """Say whether the goal against Keras' export is met."""
    if "keras" not in times or "kexport" not in times:
        return ""
    goal = GOALS.get(name, GOAL)
    ratio = times["keras"].over(times["kexport"])
    return f"{'met' if ratio >= goal else 'missed'}: {number(goal, 2)}"


def page(
    rows: Sequence[Sequence[str]],
    peers: Sequence[str],
    missing: Sequence[str],
    notes: Sequence[str],
) -> str:
    headings = ["Application", "threads", "kexport ms"]
    for peer in peers:
        headings += [f"{TITLES[peer]} ms", "ratio", *(["its graph alone"] * (peer == "keras"))]
    parts = [
        "## Latency on the CPU, fp32, batch 1",
        "The time for one image in milliseconds (of the processor on one thread, of the clock on "
        "all threads): the minimum of the rounds, and their median in brackets. The contestants "
        "take turns. *ratio* is a peer's time divided by kexport's, the median of the rounds, so "
        "kexport is faster where it is above 1. All of them start from a uint8 image. kexport's "
        "graph preprocesses inside, and so does OpenVINO, which reads the same file. For Keras' "
        "own ONNX export (run in ONNX Runtime) and LiteRT (XNNPACK) the time includes Keras' "
        "preprocess_input in NumPy; *its graph alone* is the ratio without it. Keras' export is "
        "of the model as its builder makes it without arguments.",
        f"{machine()}. {versions((*PACKAGES, *PEERS))}.",
        table([*headings, "goal"], rows),
    ]
    if missing:
        parts.append(f"Not installed, so left out: {', '.join(TITLES[peer] for peer in missing)}.")
    if notes:
        parts += ["Not timed:", "\n".join(f"- {note}" for note in notes)]
    return joined(parts)


TITLES = {"keras": "Keras' ONNX", "litert": "LiteRT", "openvino": "OpenVINO"}


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(MODELS), help="names, with commas")
    parser.add_argument("--peers", default=",".join(TITLES))
    parser.add_argument("--threads", default="1,0", help="0 is as many as there are cores")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=Path("build/bench"))
    parser.add_argument("--out", type=Path, help="the page to write the table to")
    parser.add_argument("--export", nargs=2, metavar=("ROAD", "MODEL"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--time", nargs=3, metavar=("MODEL", "PATHS", "THREADS"), help=argparse.SUPPRESS
    )
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.export:
        answer(export_once(*asked.export, asked.cache))
        return 0
    if asked.time:
        name, paths, threads = asked.time
        answer(time_once(name, json.loads(paths), int(threads), asked.rounds))
        return 0
    asked.cache.mkdir(parents=True, exist_ok=True)
    peers, missing = installed(asked.peers.split(","))
    rows, notes = [], []
    for name in asked.models.split(","):
        for threads in map(int, asked.threads.split(",")):
            found = timed(name, peers, threads, asked.rounds, asked.cache)
            rows.append(row(name, threads, found, peers))
            print(*rows[-1], sep="\t", flush=True)
            notes += [f"{name}, {peer}: {why}" for peer, why in found["far"].items()]
    for note in dict.fromkeys(notes):
        print(note, file=sys.stderr)
    arriving = pixels.section(asked.rounds)
    if asked.out:
        text = page(rows, peers, missing, list(dict.fromkeys(notes)))
        put_section(asked.out, "latency", text, "Benchmarks")
        put_section(asked.out, "pixels", pixels.page(arriving), "Benchmarks")
    return int(any("missed" in cells[-1] for cells in (*rows, *arriving)))


if __name__ == "__main__":
    sys.exit(main())

"""Calibration beside ONNX Runtime's quantize_static on the same images: seconds and memory.

python bench/calibrate.py [--model inception_v3] [--work out/int8] [--rounds 3]
    [--out docs/int8-figures.md]

Both go from a float32 file to an int8 file by ranges alone, in processes of their own that take
turns. The float32 file and the images are those of bench/int8.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from int8_peers import Task, quantize_static
from machine import PACKAGES, machine, peak_memory, versions
from page import put_section, table
from process import answer, measure

HERE = Path(__file__).resolve().parent
FLOATING, BESIDE = "float.onnx", "beside.onnx"
GOALS = {"seconds": 1.0, "memory": 0.5}
"""Upper limits of kexport's time and memory relative to the peer's."""

Runs = Mapping[str, Sequence[Mapping[str, float]]]
"""Time and memory of each tool in each round."""


def kexport(task: Task) -> None:
    """Measure the ranges of all images, and write the int8 model without repairs."""
    import onnx_ir as ir

    from kexport.calibration.algorithms.cross_layer_equalization import find_regions
    from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
    from kexport.calibration.statistics.ranges import collect_statistics
    from kexport.graph import save
    from kexport.passes import pipeline

    form = pipeline.GraphFormat(18, "int8")
    passes = pipeline.passes_for(form, "prepare int8")
    model = pipeline.run(ir.load(task.floating), passes).model
    watched = [value.name or "" for region in find_regions(model) for value in region.tensors]
    names = ONNXRUNTIME_CPU.tensors(model)
    found = collect_statistics(model, names, watched, task.images, batch=4, method="mse")
    quantized = ONNXRUNTIME_CPU.quantize(model, found.ranges, frozenset())
    save.save(pipeline.run(quantized, pipeline.passes_for(form, "finish int8")).model, task.made)


MAKERS = {"kexport": (kexport, BESIDE), "quantize_static": (quantize_static, FLOATING)}
"""And the file that each reads: kexport reads weights that are in a file of their own one by one,
and quantize_static reads all of either."""


def make(maker: str, folder: Path) -> dict[str, float]:
    """Calibrate in this process; seconds and peak memory, imports included."""
    run, file = MAKERS[maker]
    pictures = np.load(folder / "data.npz")["calibration"]
    begun = time.perf_counter()
    run(Task(folder / file, folder / f"{maker}, ranges alone.onnx", pictures, random=True))
    return {"seconds": time.perf_counter() - begun, "memory": peak_memory()}


def prepare(name: str, work: Path) -> None:
    """Write the files that both read, unless they exist."""
    import onnx_ir as ir

    from kexport.graph import save

    folder = work / name
    if not (folder / "data.npz").exists():
        measure(str(HERE / "int8.py"), ["--once", "subject", name, "-", "--work", str(work)])
    save.save(ir.load(folder / FLOATING), folder / BESIDE, external=True)


def rows(runs: Runs) -> list[list[str]]:
    """Return each maker's medians, and the median ratio of kexport to the peer by round."""
    ours, theirs = runs.values()
    cells = [
        [
            maker,
            f"{statistics.median(each['seconds'] for each in rounds):.1f}",
            f"{statistics.median(each['memory'] for each in rounds) / 1e6:.0f}",
        ]
        for maker, rounds in runs.items()
    ]
    last = ["kexport's share"]
    for what, goal in GOALS.items():
        pairs = zip(ours, theirs, strict=True)
        ratio = statistics.median(mine[what] / its[what] for mine, its in pairs)
        last.append(f"{ratio:.2f} ({'met' if ratio <= goal else 'missed'}: {goal})")
    return [*cells, last]


def page(name: str, pictures: int, runs: Runs) -> str:
    rounds = len(runs["kexport"])
    return "\n".join(
        [
            "## What calibration takes",
            "",
            f"{machine()}; {versions(PACKAGES)}.",
            "",
            f"The ranges of {name} on {pictures} images and the int8 file that they give, "
            "without repairs and gate, on all cores. kexport searches them by `mse`; "
            "quantize_static has its preprocessing, a scale for each output channel, and MinMax. "
            "Each run is a process of its own, its imports and the images included; medians of "
            f"{rounds} rounds in turns. Both are given the same float32 graph; kexport's file has "
            "its weights beside it (ONNX's external data), so that they are read piece by piece. "
            "quantize_static is given one file, since it reads all weights of either kind. "
            "`python bench/calibrate.py` writes this.",
            "",
            table(("calibrated by", "seconds", "peak memory, MB"), rows(runs)),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="inception_v3")
    parser.add_argument("--work", type=Path, default=Path("out/int8"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--once", metavar="MAKER")
    given = parser.parse_args(arguments)
    folder = given.work / given.model
    if given.once:
        answer(make(given.once, folder))
        return 0
    prepare(given.model, given.work)
    runs: dict[str, list[dict[str, Any]]] = {maker: [] for maker in MAKERS}
    same = ["--model", given.model, "--work", str(given.work)]
    for _ in range(given.rounds):
        for maker, found in runs.items():
            found.append(measure(str(Path(__file__).resolve()), ["--once", maker, *same]))
            print(f"{maker}: {found[-1]}", file=sys.stderr)
            if "error" in found[-1]:
                return 1
    text = page(given.model, len(np.load(folder / "data.npz")["calibration"]), runs)
    print(text)
    if given.out is not None:
        put_section(given.out, "calibrate", text, "INT8: measured figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())

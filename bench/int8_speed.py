"""Speed of INT8 on a CPU beside fp32 and quantize_static, with VNNI and with AVX2 alone.

python bench/int8_speed.py [--models inception_v3,...] [--rounds 6] [--work out/int8-speed]
    [--out docs/int8-figures.md]

Weights are random and nothing is repaired, which changes no time. The files are kept in the work
folder. For AVX2, as_avx2.c is compiled and hides what is beyond it from the measured process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from machine import PACKAGES, machine, versions
from page import number, put_section, table
from process import answer, measure
from rounds import Times, interleave

MODELS = (
    *("mobilenet", "mobilenet_v2", "inception_v3", "resnet50", "resnet50_v2", "xception"),
    *("densenet121", "nasnet_mobile", "convnext_tiny", "efficientnet_b0", "mobilenet_v3_small"),
)
GOALS = {"inception_v3": 1.6, "resnet50": 1.6, "mobilenet_v2": 1.4}
"""Lower limits of the speed-up of int8 over fp32 with AVX2 alone."""

CALIBRATED = 4
FILES = ("fp32", "kexport", "quantize_static")
HERE = Path(__file__).resolve().parent


def make(name: str, folder: Path) -> None:
    """Write the three files of one Application."""
    import int8_peers
    import models
    import onnx_ir as ir

    from kexport import zoo
    from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
    from kexport.calibration.statistics.ranges import measure_ranges
    from kexport.conversion import convert_model
    from kexport.graph import save
    from kexport.passes import pipeline
    from kexport.passes.pipeline import GraphFormat
    from kexport.source.synthetic_images import draw_images

    application = zoo.find(name)
    model = models.build(application)
    folder.mkdir(parents=True, exist_ok=True)
    fp32, kexport, peer = (folder / f"{file}.onnx" for file in FILES)
    save.save(models.cpu_graph(model, application.mode), fp32)
    images = draw_images(CALIBRATED, application.size, application.size)
    plain = folder / "plain.onnx"
    before = models.fp32_passes(application.mode, GraphFormat(18))
    save.save(pipeline.run(convert_model(model).model, before).model, plain)
    form = GraphFormat(18, "int8")
    prepared = pipeline.run(ir.load(plain), pipeline.passes_for(form, "prepare int8")).model
    names = ONNXRUNTIME_CPU.tensors(prepared)
    ranges = measure_ranges(prepared, names, images, batch=1, method="minmax")
    integers = ONNXRUNTIME_CPU.quantize(prepared, ranges, frozenset())
    save.save(pipeline.run(integers, pipeline.passes_for(form, "finish int8")).model, kexport)
    int8_peers.quantize_static(int8_peers.Task(plain, peer, images, random=True))


def timed(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Time every file on one thread, in seconds per image."""
    import models

    runs: dict[str, Callable[[], object]] = {}
    for file in FILES:
        session = models.onnx_session(folder / f"{file}.onnx", 1)
        (given,) = session.get_inputs()
        image = np.random.default_rng(0).integers(0, 256, given.shape).astype(np.uint8)
        feeds = {given.name: image}
        runs[file] = lambda session=session, feeds=feeds: session.run(None, feeds)
    found = interleave(runs, rounds=rounds, clock=time.process_time)
    return {file: list(times.rounds) for file, times in found.items()}


@contextmanager
def preloaded(library: Path) -> Iterator[None]:
    """Preload `library` into the processes that are started in this context."""
    os.environ["LD_PRELOAD"] = str(library)
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"]


def compiled(folder: Path) -> Path:
    """Compile as_avx2.c into a library, and return its path."""
    library = folder.resolve() / "as_avx2.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "as_avx2.c")]
    subprocess.run(command, check=True)
    return library


def row(name: str, here: dict[str, Any], avx2: dict[str, Any]) -> list[str]:
    cells = [name]
    for found in (here, avx2):
        if "error" in found:
            return [name, *[found["error"]] * 9]
        times = {file: Times(tuple(found[file])) for file in FILES}
        cells += [f"{times['fp32'].least * 1e3:.1f}", f"{times['kexport'].least * 1e3:.1f}"]
        ratios = [times["fp32"].over(times[file]) for file in FILES[1:]]
        cells += [f"{ratio:.2f}" for ratio in ratios]
    goal = GOALS.get(name)
    met = "" if goal is None else f"{'met' if ratios[0] >= goal else 'missed'}: {number(goal, 1)}"
    return [*cells, met]


HEADINGS = (
    *("model", "fp32, ms", "int8, ms", "times", "quantize_static"),
    *("AVX2: fp32, ms", "int8, ms", "times", "quantize_static", "goal"),
)


def page(rows: Sequence[Sequence[str]]) -> str:
    return "\n\n".join(
        [
            "## Speed",
            "*times* is fp32's time over kexport's int8, and *quantize_static* over that of ONNX "
            "Runtime's own quantiser, the medians of the rounds. One thread, one image of the "
            "default size, random weights, before repairs, which change no time. For the columns "
            "under *AVX2*, `bench/as_avx2.c` hid newer instruction sets from the process, so that "
            "it ran the kernels of a processor without AVX-512 and VNNI, in fp32 too. "
            "`python bench/int8_speed.py` writes this.",
            f"{machine()}. {versions(PACKAGES)}.",
            table(HEADINGS, rows),
        ]
    )


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(MODELS), help="names, with commas")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--work", type=Path, default=Path("out/int8-speed"))
    parser.add_argument("--out", type=Path, help="the page to write the table to")
    parser.add_argument("--once", nargs=2, metavar=("WHAT", "MODEL"), help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.once:
        what, name = asked.once
        if what == "make":
            make(name, asked.work / name)
        answer({} if what == "make" else timed(asked.work / name, asked.rounds))
        return 0
    asked.work.mkdir(parents=True, exist_ok=True)
    library, rows = compiled(asked.work), []
    for name in asked.models.split(","):
        common = [name, "--work", str(asked.work), "--rounds", str(asked.rounds)]
        made = {}
        if not all((asked.work / name / f"{file}.onnx").exists() for file in FILES):
            made = measure(__file__, ["--once", "make", *common])
        here = made if "error" in made else measure(__file__, ["--once", "time", *common])
        with preloaded(library):
            avx2 = made if "error" in made else measure(__file__, ["--once", "time", *common])
        rows.append(row(name, here, avx2))
        print(*rows[-1], sep="\t", flush=True)
    if asked.out:
        put_section(asked.out, "int8-speed", page(rows), "INT8: measured figures")
    return int(any("missed" in cells[-1] for cells in rows))


if __name__ == "__main__":
    sys.exit(main())

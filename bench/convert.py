"""Time and memory of conversion: kexport against Keras' own model.export(format="onnx").

    python bench/convert.py [--models InceptionV3,ResNet50] [--runs 3] [--big] [--out docs/bench.md]

Every run is a process of its own. The clock covers conversion and saving; the model is built, and
every library imported, before. Memory is the peak of the whole process, TensorFlow included.
Large models are saved with external data, as ONNX's own documentation has it.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import PACKAGES, machine, peak_memory, versions
from page import joined, number, put_section, table
from process import answer, measure

MODELS = ("InceptionV3", "ResNet50", "MobileNetV2", "DenseNet121", "NASNetMobile")
BIG = ("VGG16", "ConvNeXtXLarge")
FASTER = {"InceptionV3": 20.0}
FASTER_OTHERWISE = 5.0
LESS_MEMORY = {"InceptionV3": 3.0}
BIG_LIMIT = 5e9
HEADINGS = (
    *("Application", "convert s", "save_onnx s", "Keras s", "faster", "by save_onnx"),
    *("convert GB", "save_onnx GB", "Keras GB", "less", "goals"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians of one converter for one model: seconds and peak bytes."""

    seconds: float
    peak: float
    error: str = ""


def converted(model: Any, path: Path) -> None:
    import onnx

    import kexport

    onnx.save(kexport.convert(model), path)


def external(model: Any, path: Path) -> None:
    import onnx

    import kexport

    onnx.save(kexport.convert(model), path, save_as_external_data=True, location="weights.data")


def streamed(model: Any, path: Path) -> None:
    import kexport

    kexport.save_onnx(model, path)


def with_keras(model: Any, path: Path) -> None:
    model.export(path, format="onnx", verbose=False)


ROADS: dict[str, Callable[[Any, Path], None]] = {
    "convert": converted,
    "external": external,
    "save_onnx": streamed,
    "keras": with_keras,
}


def once(road: str, builder: str) -> dict[str, float]:
    """Build, convert and save one model in this process."""
    import keras
    import numpy as np

    for library in ("kexport.api", "onnx", "tf2onnx"):  # importing is not converting
        importlib.import_module(library)
    model = getattr(keras.applications, builder)(weights=None)
    if road == "keras":  # it refuses a model that was never called
        model(np.zeros((1, *model.input_shape[1:]), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        begun = time.perf_counter()
        ROADS[road](model, path)
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "peak": peak_memory()}


def costs(roads: Sequence[str], builder: str, runs: int) -> list[Cost]:
    """Measure each converter; they take turns, so that a slow minute slows all of them."""
    found: dict[str, list[dict[str, float]]] = {road: [] for road in roads}
    for _ in range(runs):
        for road in roads:
            one = measure(__file__, ["--once", road, builder])
            if "error" in one:
                return [Cost(*[float("nan")] * 2, f"{road}: {one['error']}")] * len(roads)
            found[road].append(one)
    return [
        Cost(*(statistics.median(one[key] for one in found[road]) for key in ("seconds", "peak")))
        for road in roads
    ]


def row(builder: str, ours: Cost, streamed: Cost, theirs: Cost) -> list[str]:
    if ours.error:
        return [builder, *["-"] * (len(HEADINGS) - 2), f"not measured: {ours.error}"]
    faster, less = theirs.seconds / ours.seconds, theirs.peak / ours.peak
    return [
        builder,
        *(number(cost.seconds, 2) for cost in (ours, streamed, theirs)),
        f"{faster:.1f} x",
        f"{theirs.seconds / streamed.seconds:.1f} x",
        *(number(cost.peak / 1e9, 1) for cost in (ours, streamed, theirs)),
        f"{less:.1f} x",
        verdict(builder, faster, less),
    ]


def verdict(builder: str, faster: float, less: float) -> str:
    """Say whether the goals for time, and for some models for memory, are met."""
    goal = FASTER.get(builder, FASTER_OTHERWISE)
    memory = LESS_MEMORY.get(builder, 0.0)
    said = [f"{'met' if faster >= goal else 'missed'}: {goal:.0f} x faster"]
    if memory:
        said.append(f"{'met' if less >= memory else 'missed'}: 1/{memory:.0f} of the memory")
    return "; ".join(said)


def big_row(builder: str, road: str, found: Cost) -> list[str]:
    if found.error:
        return [builder, road, "-", "-", f"not measured: {found.error}"]
    met = "met" if found.peak <= BIG_LIMIT else "missed"
    limit = f"{met}: {BIG_LIMIT / 1e9:.0f} GB"
    return [builder, road, number(found.seconds, 1), number(found.peak / 1e9, 1), limit]


def page(rows: Sequence[Sequence[str]], big: Sequence[Sequence[str]], runs: int) -> str:
    parts = [
        "## Conversion",
        f"The time and memory of conversion and saving, each the median of {runs} runs in fresh "
        "processes that take turns. *convert* is `onnx.save(kexport.convert(model), path)`, "
        "*save_onnx* is `kexport.save_onnx(model, path)`, and *Keras* is `model.export(path, "
        'format="onnx")`. Memory is the peak of the whole process, TensorFlow and the model '
        "included. The columns *faster* and *less* compare Keras with convert, *by save_onnx* with "
        "save_onnx.",
        f"{machine()}. {versions(PACKAGES)}.",
        table(HEADINGS, rows),
    ]
    if big:
        parts.append(
            "Keras' export of these models is killed with 24 GB of memory. *external* is "
            "`onnx.save(kexport.convert(model), path, save_as_external_data=True)`, ONNX's format "
            "for large models. *save_onnx* writes one weight after the other, while `onnx.save` to "
            "a single file, as in the table above, makes another copy of all weights."
        )
        parts.append(table(["Application", "method", "s", "peak GB", ""], big))
    return joined(parts)


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(MODELS), help="builders, with commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--big", action="store_true", help="also VGG16 and ConvNeXtXLarge, kexport only"
    )
    parser.add_argument("--out", type=Path, help="the page to write the tables to")
    parser.add_argument("--once", nargs=2, metavar=("ROAD", "MODEL"), help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.once:
        answer(once(*asked.once))
        return 0
    rows, big = [], []
    for builder in filter(None, asked.models.split(",")):
        rows.append(row(builder, *costs(("convert", "save_onnx", "keras"), builder, asked.runs)))
        print(*rows[-1], sep="\t", flush=True)
    for builder in BIG if asked.big else ():
        for road in ("external", "save_onnx"):
            big.append(big_row(builder, road, *costs((road,), builder, 1)))
            print(*big[-1], sep="\t", flush=True)
    if asked.out:
        put_section(asked.out, "conversion", page(rows, big, asked.runs), "Benchmarks")
    unmet = ("missed", "not measured")
    return int(any(word in cells[-1] for cells in (*rows, *big) for word in unmet))


if __name__ == "__main__":
    sys.exit(main())

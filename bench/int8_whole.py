"""The whole int8 export beside calibrating and writing with ONNX Runtime's quantize_static.

Part of bench/int8.py, which runs it as a process of its own for each measurement.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import peak_memory
from page import joined, table

COUNT = 100
FIRST, LAST = "decoding the calibration images", "running Keras for comparison"
"""The progress of an export between which it quantizes: from images in files to the int8 graph."""

GOALS = {"all in int8": 1.5, "islands": 4.0}
"""Upper limits of kexport's time relative to quantize_static's, without and with nodes in float."""

ISLANDS_DROP = 0.0005
"""A limit that makes nodes of the trained model return to float."""


def save_images(folder: Path, images: Any) -> Path:
    """Write images as PNG files, unless they exist."""
    from PIL import Image

    if not folder.exists():
        folder.mkdir(parents=True)
        for number, image in enumerate(images[:COUNT]):
            Image.fromarray(image).save(folder / f"{number:03}.png")
    return folder


def ours(name: str, work: Path, max_drop: float) -> dict[str, Any]:
    """Export in this process; time the quantization by its progress, and the whole call."""
    import keras

    import kexport
    from kexport.options.application import Recipe

    application, trained, _ = name.partition("@")
    images = save_images(work / name / "png", np.load(work / name / "data.npz")["calibration"])
    model = (
        keras.saving.load_model(work / f"{application}.keras", compile=False)
        if trained
        else application
    )
    recipe = Recipe(preprocess="tf") if trained else Recipe(weights="random")
    marks: dict[str, float] = {}

    def note(step: str) -> None:
        marks.setdefault(step.partition(",")[0], time.perf_counter())

    begun = time.perf_counter()
    bundle = kexport.export(
        model,
        "cpu-int8",
        output=work / name / "whole",
        force=True,
        recipe=recipe,
        calibration=kexport.Calibration(data=images, max_drop=max_drop),
        progress=note,
    )
    entry = bundle.manifest["quantization"]
    return {
        "seconds": marks[LAST] - marks[FIRST],
        "command": time.perf_counter() - begun,
        "memory": peak_memory(),
        "share": entry["multiply_adds_int8"],
        "floats": len(entry["float_nodes"]),
        "drop": entry["gate"].get("drop"),
    }


def theirs(name: str, work: Path) -> dict[str, Any]:
    """Calibrate on the same files with quantize_static, decoded within the time, and write."""
    import int8_peers
    from PIL import Image

    folder = work / name
    files = save_images(folder / "png", np.load(folder / "data.npz")["calibration"])
    begun = time.perf_counter()
    images = np.stack([np.asarray(Image.open(file)) for file in sorted(files.iterdir())])
    made = folder / "whole, quantize_static.onnx"
    task = int8_peers.Task(folder / "float.onnx", made, images, random=True)
    int8_peers.quantize_static(task)
    return {"seconds": time.perf_counter() - begun, "memory": peak_memory()}


def rows(
    names: Sequence[str], rounds: int, run: Callable[[str, str], Mapping[str, Any]]
) -> list[list[str]]:
    """Measure kexport and quantize_static in turns, and return a row for each model."""
    found = []
    for name in names:
        turns = [(run("theirs", name), run("ours", name)) for _ in range(rounds)]
        print(f"{name}: {turns}", file=sys.stderr)
        errors = [each["error"] for turn in turns for each in turn if "error" in each]
        found.append([name, f"failed: {errors[0]}", *["-"] * 6] if errors else row(name, turns))
    return found


def row(name: str, turns: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    last = turns[-1][1]
    kind = "islands" if last["floats"] else "all in int8"
    ratio = statistics.median(mine["seconds"] / its["seconds"] for its, mine in turns)
    goal = GOALS[kind]
    return [
        name,
        f"{statistics.median(its['seconds'] for its, _ in turns):.1f}",
        f"{statistics.median(mine['seconds'] for _, mine in turns):.1f}",
        f"{ratio:.2f}",
        f"{'met' if ratio <= goal else 'missed'}: {goal}",
        f"{statistics.median(mine['command'] for _, mine in turns):.1f}",
        f"{last['share']:.1%}, {last['floats']} nodes in float",
        f"{max(its['memory'] for its, _ in turns) / 1e9:.1f}, "
        f"{max(mine['memory'] for _, mine in turns) / 1e9:.1f}",
    ]


HEADINGS = (
    "model",
    "quantize_static, s",
    "kexport, s",
    "ratio",
    "goal",
    "whole command, s",
    "in int8",
    "peak memory, GB",
)


def page(found: Sequence[Sequence[str]], rounds: int, where: str) -> str:
    islands = (
        f"`@digits` is exported with --max-drop {ISLANDS_DROP}, so that nodes return to float. "
        if any("@digits" in row[0] for row in found)
        else ""
    )
    return joined(
        [
            "## What the whole export takes",
            f"{where}.",
            f"From {COUNT} image files to the int8 graph, on all cores. quantize_static decodes "
            "them, reads the float32 graph with its preprocessing, calibrates by MinMax on all of "
            "them and writes the model. kexport decodes them, runs Keras on those that judge, "
            "calibrates on the others, repairs, judges, and times the result against fp32. *whole "
            "command* is the call of kexport.export, from building the model to the proof of the "
            "published bundle. Imports are in neither of the first two. Each run is a process of "
            f"its own; medians of {rounds} rounds in turns, and of their ratios. {islands}"
            "`python bench/int8.py` writes this.",
            table(HEADINGS, found),
        ]
    )

"""What pixels cost: decoding, resize and preprocessing inside the graph, and outside before it.

    python bench/pixels.py [--rounds 10] [--frame 1080,1920] [--size 224] [--out docs/bench.md]

One thread, batch 1. Behind the pixels stands the same first layer on both sides (a convolution of
3 x 3, stride 2, 32 channels, as mobile networks begin), into whose weights the graph folds what it
can; it belongs to both times. Outside, OpenCV decodes and resizes (bytes, INTER_NEAREST,
INTER_LINEAR, INTER_CUBIC) or Pillow does (BILINEAR and BICUBIC antialias), NumPy preprocesses, and
the graph takes float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from machine import PACKAGES, machine, versions
from page import joined, number, put_section, table
from process import answer, measure
from rounds import Times, interleave

PLAIN = ("rgb", "bgr", "rgba", "bgra", "gray", "nv12", "yuyv")
"""Formats that arrive in the model's size."""

RESIZED = tuple(
    (name, how) for how in ("nearest", "bilinear", "bicubic") for name in ("rgb", "nv12")
)
"""Formats that arrive as a frame of a camera, and how they are resized."""

CODES = {
    "bgr": "COLOR_BGR2RGB",
    "rgba": "COLOR_RGBA2RGB",
    "bgra": "COLOR_BGRA2RGB",
    "gray": "COLOR_GRAY2RGB",
    "nv12": "COLOR_YUV2RGB_NV12",
    "yuyv": "COLOR_YUV2RGB_YUYV",
}
"""OpenCV's conversions to RGB."""

OPENCV = {"nearest": "INTER_NEAREST", "bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC"}
PEERS = ("OpenCV", "Pillow")

REPORTED = frozenset({"bicubic"})
"""Rows without a goal, which are only reported."""

Run = Callable[[], Any]


def variants() -> list[tuple[str, str, str, str | None]]:
    """Return format, layout, dtype and resize of every row."""
    rows = [(name, "nhwc", "uint8", None) for name in PLAIN]
    rows += [("rgb", "nchw", "uint8", None), ("rgb", "nhwc", "float32", None)]
    return [*rows, *((name, "nhwc", "uint8", how) for name, how in RESIZED)]


def contestants(
    variant: Sequence[Any], frame: tuple[int, int], size: int, folder: Path
) -> dict[str, Run]:
    """Return the graph that takes camera images, and the steps before a float32 one."""
    import keras
    import models
    import numpy as np

    from kexport import targets
    from kexport.conversion import convert_model
    from kexport.graph import save
    from kexport.options.image_input import ImageInput
    from kexport.passes import pipeline
    from kexport.runtime.pixel_formats import encode
    from kexport.source.synthetic_images import draw_images

    keras.utils.set_random_seed(0)
    x = keras.Input((size, size, 3), name="pixels")
    stem = keras.Model(x, keras.layers.Conv2D(32, 3, strides=2)(x))
    pixels = ImageInput(*variant)
    height, width = (size, size) if pixels.resize is None else frame
    drawn = draw_images(1, height, width, channels=1 if pixels.form == "gray" else 3)[0]
    raw = encode(drawn, pixels.color, pixels.layout.upper(), pixels.dtype)
    opset = targets.find("cpu-fp32").opset
    sessions = {}
    for side, mode in (("inside", "tf"), ("outside", None)):
        path = folder / f"{side}.onnx"
        passes = models.fp32_passes(mode, pipeline.GraphFormat(opset), pixels)
        graph = pipeline.run(convert_model(stem).model, passes)
        save.save(graph.model, path)
        sessions[side] = models.onnx_session(path, 1)
    batch = raw[np.newaxis]
    runs: dict[str, Run] = {"kexport": lambda: sessions["inside"].run(None, {"image": batch})[0]}
    for peer in PEERS:
        make = outside(peer, pixels, size)
        if make is not None:

            def run(make: Callable[[Any], Any] = make) -> Any:
                return sessions["outside"].run(None, {"pixels": make(raw)})[0]

            runs[peer] = run
    return runs


def outside(peer: str, pixels: Any, size: int) -> Callable[[Any], Any] | None:
    """Preprocess as a user would: return float32 [1, size, size, 3]."""
    import numpy as np

    packed = pixels.form in ("rgb", "bgr", "gray")
    if peer == "Pillow" and (pixels.resize is None or not packed):
        return None
    rgb = opencv(pixels, size) if peer == "OpenCV" else pillow(pixels, size)

    def make(raw: Any) -> Any:
        floats = rgb(raw).astype(np.float32)
        floats /= 127.5
        floats -= 1.0
        return floats[np.newaxis]

    return make


def opencv(pixels: Any, size: int) -> Callable[[Any], Any]:
    import cv2

    cv2.setNumThreads(1)
    code = getattr(cv2, CODES[pixels.form]) if pixels.form in CODES else None
    how = None if pixels.resize is None else getattr(cv2, OPENCV[pixels.resize])

    def rgb(raw: Any) -> Any:
        image = raw.transpose(1, 2, 0) if pixels.layout == "nchw" else raw
        if code is not None:
            image = cv2.cvtColor(image, code)
        return image if how is None else cv2.resize(image, (size, size), interpolation=how)

    return rgb


def pillow(pixels: Any, size: int) -> Callable[[Any], Any]:
    import numpy as np
    from PIL import Image

    how = Image.Resampling[pixels.resize.upper()]
    return lambda raw: np.asarray(Image.fromarray(raw).resize((size, size), how))


def time_once(rounds: int, frame: tuple[int, int], size: int) -> list[dict[str, Any]]:
    """Time every variant in this process."""
    found = []
    for variant in variants():
        with tempfile.TemporaryDirectory() as folder:
            runs = contestants(variant, frame, size, Path(folder))
            times = interleave(runs, rounds=rounds, seconds=0.1, clock=time.process_time)
            seconds = {name: list(each.rounds) for name, each in times.items()}
            found.append({"variant": variant, "times": seconds})
    return found


def row(found: dict[str, Any], frame: tuple[int, int], size: int) -> list[str]:
    """Return one row of the table: times in milliseconds, and ratios over kexport's."""
    name, layout, dtype, how = found["variant"]
    times = {peer: Times(tuple(seconds)) for peer, seconds in found["times"].items()}
    height, width = (size, size) if how is None else frame
    cells = [f"{name} {layout} {dtype}", f"{height} x {width}", how or "-"]
    cells.append(milliseconds(times["kexport"]))
    for peer in PEERS:
        theirs = times.get(peer)
        cells.append("-" if theirs is None else milliseconds(theirs))
        cells.append("-" if theirs is None else number(theirs.over(times["kexport"]), 2))
    return [*cells, verdict(how, times)]


def milliseconds(times: Times) -> str:
    """Return the minimum and the median."""
    return f"{times.least * 1e3:.2f} ({times.median * 1e3:.2f})"


def verdict(how: str | None, times: dict[str, Times]) -> str:
    """Say whether the graph is no slower than OpenCV and NumPy before it."""
    if how in REPORTED:
        return "reported"
    return "met" if times["OpenCV"].over(times["kexport"]) >= 1 else "missed"


def page(rows: Sequence[Sequence[str]]) -> str:
    headings = ["arrives as", "size", "resize", "kexport ms"]
    for peer in PEERS:
        headings += [f"{peer} ms", "ratio"]
    return joined(
        [
            "## Image input on the CPU: inside the graph, or before it",
            "The time for one image on one thread, from the bytes that arrive to the output of "
            "the first layer, in milliseconds: the minimum of the rounds, and their median in "
            "brackets. *kexport* decodes, resizes and preprocesses inside the graph. *OpenCV* and "
            "*Pillow* do so before a graph that takes float32, with NumPy for the arithmetic. "
            "*ratio* is their time divided by kexport's, so kexport is faster where it is above "
            "1. The goal is a ratio of at least 1 against OpenCV.",
            f"{machine()}. {versions((*PACKAGES, 'opencv-python-headless', 'pillow'))}.",
            table([*headings, "goal"], rows),
        ]
    )


def section(rounds: int, frame: tuple[int, int] = (1080, 1920), size: int = 224) -> list[list[str]]:
    """Time every variant in a process of its own, print the rows and return them."""
    sizes = ["--frame", ",".join(map(str, frame)), "--size", str(size)]
    found = measure(__file__, ["--once", "--rounds", str(rounds), *sizes])
    if "error" in found:
        print(found["error"], file=sys.stderr)
        return []
    rows = [row(each, frame, size) for each in found["rows"]]
    for cells in rows:
        print(*cells, sep="\t", flush=True)
    return rows


def main() -> int:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--frame", default="1080,1920", help="height and width of the frame")
    parser.add_argument("--size", type=int, default=224, help="height and width of the model")
    parser.add_argument("--out", type=Path, help="the page to write the table to")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    height, width = map(int, asked.frame.split(","))
    if asked.once:
        answer({"rows": time_once(asked.rounds, (height, width), asked.size)})
        return 0
    rows = section(asked.rounds, (height, width), asked.size)
    if asked.out:
        put_section(asked.out, "pixels", page(rows), "Benchmarks")
    return int(not rows or any(cells[-1] == "missed" for cells in rows))


if __name__ == "__main__":
    sys.exit(main())

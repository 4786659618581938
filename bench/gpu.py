"""GPU latency and throughput: ONNX Runtime's CUDA provider, TensorRT, and Keras itself.

    python bench/gpu.py [--models inception_v3,resnet50] [--batches 1,32] [--rounds 10]
        [--cache build/bench-gpu] [--out docs/gpu.md]

From uint8 images in memory to scores in memory, copies to and from the GPU included; Keras runs
its own preprocess_input within the clock. TensorRT takes part where its Python module is, and Keras
where its backend sees the GPU. Every bundle is verified on the GPU before it is timed. Without a
GPU nothing is measured, and the exit status is 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from machine import PACKAGES, machine, versions
from page import number, put_section, table
from process import answer, measure
from rounds import Times, interleave

from kexport.runtime.errors import RuntimeFault
from kexport.runtime.gpu import Cuda, Gpu

MODELS = ("inception_v3", "resnet50", "mobilenet_v2", "efficientnet_b0")
ROADS = ("cuda-fp32", "cuda-fp16", "trt-fp32", "trt-fp16")
KERAS = "Keras"
PEERS = ("onnxruntime-gpu", "tensorrt")


def found_gpu() -> Gpu | str:
    """Return the GPU, or the reason why there is none."""
    try:
        return Cuda().gpu
    except RuntimeFault as fault:
        return str(fault)


def export_once(name: str, road: str, batch: int, folder: Path) -> dict[str, Any]:
    """Export one Application in this process, and build and verify its engine where it has one."""
    from kexport.api import export
    from kexport.options.application import Recipe

    bundle = folder / f"{name}-{road}-{batch}"
    export(name, road, output=bundle, recipe=Recipe(weights="random"), batch=batch, force=True)
    if road.startswith("trt"):
        built = [sys.executable, str(bundle / "build_engine.py"), "--verify"]
        subprocess.run(built, check=True, stdout=subprocess.DEVNULL)
    return {"path": str(bundle)}


def time_once(name: str, paths: dict[str, str], batch: int, rounds: int) -> dict[str, Any]:
    """Time the bundles of one model in this process, in turns, and Keras where it has the GPU."""
    from kexport import runtime, zoo
    from kexport.source.synthetic_images import draw_images

    application = zoo.find(name)
    images = draw_images(batch, application.size, application.size)
    runs: dict[str, Callable[[], Any]] = {}
    said: dict[str, str] = {}
    for road, path in paths.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # that another engine stands in
                if not runtime.verify(path).passed:
                    raise RuntimeWarning("its golden outputs differ on this GPU")
                session = runtime.load(path, check=False)
        except (RuntimeFault, RuntimeWarning) as fault:
            said[road] = str(fault)
            continue
        runs[session.engine.name + f", {road}"] = lambda session=session: session.run(images)
    keras_run = keras_on_gpu(application, images)
    if keras_run is not None:
        runs[KERAS] = keras_run
    times = interleave(runs, rounds=rounds) if runs else {}
    return {"times": {road: list(found.rounds) for road, found in times.items()}, "said": said}


def keras_on_gpu(application: Any, images: Any) -> Callable[[], Any] | None:
    """Return Keras' own prediction function; None if TensorFlow sees no GPU."""
    import keras
    import models
    import tensorflow as tf

    from kexport.source.preprocessing import prepare

    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    for device in devices:
        tf.config.experimental.set_memory_growth(device, True)
    model = models.build(application)
    call = tf.function(model, jit_compile=False)
    return lambda: keras.ops.convert_to_numpy(call(prepare(images, application.mode)))


def rows(name: str, batch: int, found: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Return one row of the table per contestant."""
    times = {road: Times(tuple(rounds)) for road, rounds in found["times"].items()}
    keras = times.get(KERAS)
    for road, measured in times.items():
        yield [
            name,
            str(batch),
            road,
            number(measured.median * 1e3, 2),
            number(batch / measured.median, 0),
            number(None if keras is None else keras.over(measured), 1),
        ]
    for road, why in found["said"].items():
        yield [name, str(batch), f"{road}: {why}", "-", "-", "-"]


def page(gpu: Gpu, lines: Iterable[Sequence[str]]) -> str:
    """Return the section of the page."""
    headings = ("model", "batch", "engine", "ms", "images/s", "Keras over it")
    head = f"{gpu.name}, compute capability {gpu.compute_capability}, {gpu.memory / 1e9:.0f} GB."
    return "\n\n".join(
        [
            "## GPU",
            f"Written by `python bench/gpu.py`. {head} {machine()}. "
            f"{versions((*PACKAGES, *PEERS))}.",
            "From uint8 images in memory to scores in memory: the median over rounds of the "
            "shortest run.",
            table(headings, lines),
        ]
    )


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(MODELS), help="names, with commas")
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=Path("build/bench-gpu"))
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--export", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--time", nargs=3, help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.export:
        name, road, batch = asked.export
        answer(export_once(name, road, int(batch), asked.cache))
        return 0
    if asked.time:
        name, batch, paths = asked.time
        answer(time_once(name, json.loads(paths), int(batch), asked.rounds))
        return 0
    gpu = found_gpu()
    if isinstance(gpu, str):
        print(f"nothing was measured: {gpu}")
        return 0
    roads = [road for road in ROADS if road.startswith("cuda") or has_tensorrt()]
    lines: list[Sequence[str]] = []
    for name in asked.models.split(","):
        for batch in asked.batches.split(","):
            lines += model_rows(name, batch, roads, asked)
    text = page(gpu, lines)
    print(text)
    if asked.out:
        put_section(asked.out, "gpu", text, "Benchmarks")
    return 0


def has_tensorrt() -> bool:
    return importlib.util.find_spec("tensorrt") is not None


def model_rows(
    name: str, batch: str, roads: Sequence[str], asked: argparse.Namespace
) -> list[Sequence[str]]:
    """Export and time one model, and report the result."""
    common = ["--cache", str(asked.cache), "--rounds", str(asked.rounds)]
    exports = {
        road: measure(__file__, [*common, "--export", name, road, batch], gpu=True)
        for road in roads
    }
    paths = {road: found["path"] for road, found in exports.items() if "path" in found}
    found = measure(__file__, [*common, "--time", name, batch, json.dumps(paths)], gpu=True)
    failed = {road: made["error"] for road, made in exports.items() if "error" in made}
    if "error" in found:
        failed, found = {**failed, "timing": found["error"]}, {"times": {}, "said": {}}
    found["said"] = {**failed, **found["said"]}
    return list(rows(name, int(batch), found))


if __name__ == "__main__":
    sys.exit(main())

"""INT8 on a CPU beside ONNX Runtime's quantize_static and NNCF: accuracy, share, speed and cost.

python bench/int8.py [--models mobilenet,...] [--large inception_v3,...] [--whole mobilenet_v2,...]
    [--work out/int8] [--out docs/int8-figures.md]

The models are trained on digits first, by bench/train_digits.py, or have random weights (--large).
Every result is kept in the work folder, and what is there is not made again. NNCF takes part where
it is installed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path
from typing import Any

import int8_whole
import numpy as np
from int8_peers import MAKERS, UNGATED, Task
from machine import PACKAGES, machine, peak_memory, versions
from page import put_section, table
from process import answer, measure
from rounds import Times, interleave

MODELS = "mobilenet,mobilenet_v2,efficientnet_b0,resnet50_v2"
LARGE = "inception_v3,resnet50,mobilenet_v2"
WHOLE = "mobilenet_v2,inception_v3,mobilenet_v2@digits"
HARDENED = "mobilenet_v2"
HARD_CASES = "digits+spread,digits+dead,digits+outlier,tilted,tilted+wide"
CALIBRATED, JUDGED = 100, 64
FLOATING = "float.onnx"
HERE = Path(__file__).resolve().parent


def subject(name: str, work: Path) -> None:
    """Write the float graph, images, and Keras' answers of one model; trained where it is small.

    `name` is that of an Application, followed by "@" and its data set if it was trained, and by
    "+" and one of `hard_cases.HARD` if it is made hard on purpose.
    """
    import keras
    import models
    from hard_cases import HARD
    from tilted_digits import digits_split, tilted_split

    from kexport import zoo
    from kexport.conversion import convert_model
    from kexport.graph import save
    from kexport.passes import pipeline
    from kexport.source.preprocessing import prepare
    from kexport.source.synthetic_images import draw_images

    application = zoo.find(name.partition("@")[0])
    folder = work / name
    if is_trained(name):
        trained, harder, case = name.partition("+")
        model = keras.saving.load_model(work / weights_of(trained), compile=False)
        if harder:
            HARD[case](model)
        train, held_out = tilted_split() if is_tilted(trained) else digits_split()
        calibration = train.images[:CALIBRATED]
        judged, labels = held_out.images, held_out.classes
    else:
        model = models.build(application)
        drawn = draw_images(CALIBRATED + JUDGED, application.size, application.size)
        calibration, judged, labels = drawn[:CALIBRATED], drawn[CALIBRATED:], None
        condition(model, application.mode, calibration[:8])
    passes = models.fp32_passes(application.mode, pipeline.GraphFormat(18))
    folder.mkdir(parents=True, exist_ok=True)
    graph = pipeline.run(convert_model(model).model, passes).model
    save.save(without_softmax(graph), folder / FLOATING)
    model.layers[-1].activation = keras.activations.linear  # probabilities underflow to nought
    answers = model.predict(prepare(judged, application.mode), batch_size=16, verbose=0)
    known = {} if labels is None else {"labels": labels}
    np.savez(folder / "data.npz", calibration=calibration, judged=judged, answers=answers, **known)


def is_trained(name: str) -> bool:
    return "@" in name


def is_tilted(name: str) -> bool:
    return "@tilted" in name


def weights_of(name: str) -> str:
    """Return the file of a trained model."""
    application = name.partition("@")[0]
    return f"{application}_tilted.keras" if is_tilted(name) else f"{application}.keras"


def without_softmax(model: Any) -> Any:
    """Return the model with logits as its output: some tools quantize a Softmax."""
    graph = model.graph
    node = graph.outputs[0].producer()
    graph.outputs[0] = node.inputs[0]
    graph.remove(node, safe=True)
    return model


def condition(model: Any, mode: str, drawn: Any) -> None:
    """Draw weights with which outputs differ between images, as kexport's random weights do."""
    from kexport.source import random_weights
    from kexport.source.preprocessing import prepare

    random_weights.randomise(model, 0, prepare(drawn, mode))


def make(name: str, maker: str, work: Path) -> dict[str, Any]:
    """Make one int8 file in this process, and return seconds and peak memory."""
    folder = work / name
    data = np.load(folder / "data.npz")
    made = folder / f"{maker}.onnx"
    task = Task(folder / FLOATING, made, data["calibration"], not is_trained(name))
    begun = time.perf_counter()
    said = MAKERS[maker](task)
    return {"seconds": time.perf_counter() - begun, "memory": peak_memory(), **said}


def judge(name: str, maker: str, work: Path) -> dict[str, Any]:
    """Measure SQNR of the logits, agreement, top-1 and int8 share of one file in ONNX Runtime."""
    import models

    from kexport.calibration.metrics import class_quality

    folder = work / name
    data = np.load(folder / "data.npz")
    labels = data["labels"] if "labels" in data.files else None
    session = models.onnx_session(folder / f"{maker}.onnx", 1)
    judged = data["judged"]
    given = [session.run(None, {"image": judged[i : i + 1]})[0] for i in range(len(judged))]
    wanted = data["answers"]
    found = class_quality(wanted, np.concatenate(given), labels)
    exact = class_quality(wanted, wanted, labels)
    return {
        "sqnr": found.sqnr,
        "agreement": found.agreement,
        "top1": found.top1,
        "keras": exact.top1,
        "share": share(folder / f"{maker}.onnx"),
    }


def share(file: Path) -> float:
    """Return the share of multiply-adds with two integer factors."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
    makers = {output: node for node in graph.node for output in node.output}
    stored = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }

    def integers(name: str) -> bool:
        return name in makers and makers[name].op_type == "DequantizeLinear"

    whole = within = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weights = node.input[1]
        held = stored.get(makers[weights].input[0] if integers(weights) else weights)
        if held is None:
            continue
        shape = shapes[node.output[0]]
        pixels = shape[2:] if node.op_type == "Conv" else shape[1:-1]
        count = int(np.prod(held)) * int(np.prod(pixels))
        whole += count
        within += count * (integers(node.input[0]) and integers(weights))
    return within / whole


def times(name: str, work: Path, rounds: int) -> dict[str, list[float]]:
    """Time the float file and every int8 file on one thread, in seconds per image."""
    import models

    folder = work / name
    image = np.load(folder / "data.npz")["judged"][:1]
    runs: dict[str, Callable[[], object]] = {}
    for file in (folder / FLOATING, *(folder / f"{maker}.onnx" for maker in MAKERS)):
        if file.exists():
            session = models.onnx_session(file, 1)
            runs[file.stem] = lambda session=session: session.run(None, {"image": image})
    found = interleave(runs, rounds=rounds, clock=time.process_time)
    return {maker: list(timed.rounds) for maker, timed in found.items()}


def kept(file: Path, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read `file`; compute and write it first if it is missing."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(compute()), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def train(name: str, work: Path) -> None:
    """Train the model of a name; that of tilted digits from the one of digits."""
    application = name.partition("@")[0]
    if not (work / f"{application}.keras").exists():
        done = measure(str(HERE / "train_digits.py"), [application, str(work)])
        print(f"{name}: trained, {done}", file=sys.stderr)
    if is_tilted(name):
        done = measure(str(HERE / "tilted_digits.py"), [str(work)])
        print(f"{name}: fine-tuned, {done}", file=sys.stderr)


def rows(name: str, work: Path, rounds: int) -> list[list[str]]:
    """Return one row of the table per tool."""
    folder, script = work / name, str(Path(__file__).resolve())
    trained = is_trained(name)
    prepare_subject(name, work)
    makers = [maker for maker in MAKERS if "NNCF" not in maker or util.find_spec("nncf")]
    makers = [maker for maker in makers if maker != UNGATED or trained]  # else it is the first
    results = {}
    for maker in makers:
        results[maker] = kept(
            folder / f"{maker}.json", lambda maker=maker: made_and_judged(name, maker, work)
        )
        print(f"{name}: {maker}, {results[maker]}", file=sys.stderr)
    timed = kept(
        folder / "times.json",
        lambda: measure(
            script, ["--once", "times", name, "-", "--work", str(work), "--rounds", str(rounds)]
        ),
    )
    floating = Times(tuple(timed["float"]))
    return [row(name, maker, results[maker], timed.get(maker), floating) for maker in makers]


def prepare_subject(name: str, work: Path) -> None:
    """Train a small model, and write the float graph and the images, unless they exist."""
    if is_trained(name) and not (work / weights_of(name)).exists():
        train(name, work)
    if not (work / name / "data.npz").exists():
        script = str(Path(__file__).resolve())
        measure(script, ["--once", "subject", name, "-", "--work", str(work)])


def made_and_judged(name: str, maker: str, work: Path) -> dict[str, Any]:
    """Make and evaluate one int8 file, each in its own process, or return the error."""
    script = str(Path(__file__).resolve())
    found: dict[str, Any] = {}
    for step in ("make", "judge"):
        found |= measure(script, ["--once", step, name, maker, "--work", str(work)])
        if "error" in found:
            break
    return found


def row(
    name: str, maker: str, found: dict[str, Any], timed: list[float] | None, floating: Times
) -> list[str]:
    if "error" in found:
        return [f"{name}, {maker}", f"failed: {found['error']}", *["-"] * 6]
    if timed is None:
        return [f"{name}, {maker}", *["-"] * 7]
    mine = Times(tuple(timed))
    top1 = "-" if found["top1"] is None else f"{found['top1']:.1%} ({found['keras']:.1%})"
    return [
        f"{name}, {maker}",
        f"{found['sqnr']:.1f}",
        f"{found['agreement']:.1%}",
        top1,
        f"{found['share']:.1%}",
        f"{mine.least * 1e3:.2f}",
        f"{1 / mine.over(floating):.2f}",
        f"{found['seconds']:.0f} s, {found['memory'] / 1e9:.1f} GB{calibrated(found)}",
    ]


def calibrated(found: dict[str, Any]) -> str:
    """Return the time of finding ranges, if it is known."""
    if "calibrated" not in found:
        return ""
    return f" ({found['calibrated']:.0f} s, {found['calibrated_memory'] / 1e9:.1f} GB)"


HEADINGS = (
    "model, made by",
    "SQNR, dB",
    "agreement",
    "top-1 (Keras)",
    "in int8",
    "ms",
    "times fp32",
    "made in",
)


def page(found: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        [
            "## Beside others",
            "",
            f"{machine()}; {versions((*PACKAGES, 'nncf'))}.",
            "",
            f"Everyone quantises the same float32 graph with the same {CALIBRATED} images. "
            "`@digits` was trained on digits of 32 x 32 and is judged on 500 held-out ones; "
            "`@tilted` was fine-tuned from it on 80 classes with narrow margins "
            "(`bench/tilted_digits.py`), and is judged likewise; "
            "with a `+` it was made hard on purpose (`bench/hard_cases.py`); the others have "
            f"random weights and their own size, on {JUDGED} drawn images. SQNR is "
            "that of the logits. kexport splits its images as it always does, 40 to measure on "
            "and 60 to judge by, and has not seen those of the table; its first row is with the "
            "gate as it is by default, which decides nothing with random weights, and its second "
            "with all in int8 that it can quantise. quantize_static has its preprocessing, a scale "
            "for each output channel, and MinMax. One thread, one image; in brackets what the "
            "ranges alone took. `python bench/int8.py` writes this.",
            "",
            table(HEADINGS, found),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--large", default=LARGE)
    parser.add_argument("--hard", default=HARD_CASES)
    parser.add_argument("--whole", default=WHOLE)
    parser.add_argument("--whole-rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("out/int8"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--once", nargs=3, metavar=("WHAT", "MODEL", "MAKER"))
    given = parser.parse_args(arguments)
    if given.once:
        what, name, maker = given.once
        if what == "subject":
            subject(name, given.work)
            answer({})
        elif what == "ours":
            trained = is_trained(name)
            limit = int8_whole.ISLANDS_DROP if trained else 0.01
            answer(int8_whole.ours(name, given.work, limit))
        elif what == "theirs":
            answer(int8_whole.theirs(name, given.work))
        elif what == "times":
            answer(times(name, given.work, given.rounds))
        else:
            answer({"make": make, "judge": judge}[what](name, maker, given.work))
        return 0
    names = [f"{name}@digits" for name in given.models.split(",") if name]
    names += [f"{HARDENED}@{case}" for case in given.hard.split(",") if case]
    names += [name for name in given.large.split(",") if name]
    sections = {}
    if names:
        found = [cells for name in names for cells in rows(name, given.work, given.rounds)]
        sections["int8"] = page(found)
    if given.whole:
        sections["int8-whole"] = whole(given.whole.split(","), given.work, given.whole_rounds)
    for name, text in sections.items():
        print(text)
        if given.out is not None:
            put_section(given.out, name, text, "INT8: measured figures")
    return 0


def whole(names: Sequence[str], work: Path, rounds: int) -> str:
    """Measure the whole export of some models, and return its section."""
    script = str(Path(__file__).resolve())

    def run(what: str, name: str) -> dict[str, Any]:
        prepare_subject(name, work)
        return measure(script, ["--once", what, name, "-", "--work", str(work)])

    found = int8_whole.rows(names, rounds, run)
    return int8_whole.page(found, rounds, f"{machine()}; {versions(PACKAGES)}")


if __name__ == "__main__":
    sys.exit(main())

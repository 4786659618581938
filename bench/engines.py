"""Every Keras Application through NVIDIA's own parser and builder, without a GPU: docs/engines.md.

    python bench/engines.py [--models mobilenet,vgg16] [--targets trt-fp32,trt-fp16,trt-int8]
        [--out docs/engines.md] [--json build/engines.jsonl] [--resume]

Each Application is a process of its own, with random weights; its graphs are those that an export
writes, and TensorRT for RTX builds them. INT8, for the Applications in INT8, takes its ranges from
one drawn image: what is placed where is what counts here. Parity is not looked at; docs/zoo.md
has it. The exit status is 1 when a graph is not built, or when a convolution or matrix product runs
in another type than the graph's. Without TensorRT for RTX (the extra `rtx`) nothing is built, and
the exit status is 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import machine, versions
from page import joined, table
from process import answer, measure
from results import failed, open_results
from zoo import lightest_first

from kexport import zoo
from kexport.bundle import rtx_builder

TARGETS = ("trt-fp32", "trt-fp16", "trt-int8")

INT8 = (
    *("mobilenet_v2", "mobilenet_v3_small", "resnet50", "inception_v3", "densenet121"),
    *("efficientnet_b0", "xception", "nasnet_mobile", "convnext_tiny", "vgg16"),
)

HEAD = """\
# TensorRT engines

How NVIDIA's builder compiles the graphs of all Applications, at their default sizes, with random
weights, written for TensorRT 11. TensorRT for RTX parses the graphs and builds engines on a machine
without a GPU; no engine was run. Each cell says how many of the graph's convolutions and matrix
products run in the type that the graph gives them, and how many layers the engine has.

Some convolutions of trt-fp16 run in FP32, most of them in EfficientNetV2: with random weights the
values of deep networks come close to 65504, the largest float16, and those nodes are kept in
float32.

`python bench/engines.py --out docs/engines.md` (part of `make test-zoo`) writes this page."""


def build_once(name: str, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Build the engines of one Application in this process, and report each result."""
    import models

    from kexport.conversion import convert_model
    from kexport.options.application import Recipe
    from kexport.options.image_input import ImageInput
    from kexport.options.input_image import InputImage
    from kexport.options.task import Task
    from kexport.parity.samples import Samples
    from kexport.source.open import open_model
    from kexport.source.synthetic_images import draw_images
    from kexport.stages import optimize
    from kexport.stages.convert import Subject
    from kexport.stages.preprocess import Settled
    from kexport.tasks import Evidence, resolve

    application = zoo.find(name)
    model = models.build(application)
    source = open_model(model, Recipe(preprocess=application.mode))
    image = draw_images(1, application.size, application.size)
    images = (InputImage(application.mode, ImageInput("rgb")),)
    inputs = Samples({"image": image}, (image,), images, ordinary=1)
    converted = convert_model(model)
    artifact = optimize.simplified(converted, inputs, 1, silent)
    task = resolve(Task(), converted.outputs, Evidence())
    settled = Settled({"image": application.mode})
    subject = Subject(
        source, settled, model, artifact, task.outputs, task.entry, None, (), None, inputs
    )
    return [checked(name, target, subject) for target in targets]


def checked(name: str, target: str, subject: Any) -> dict[str, Any]:
    """Lower one Application's graph for a target, and let the builder build it."""
    from kexport import targets
    from kexport.options.application import Recipe
    from kexport.options.calibration import Calibration
    from kexport.options.image_input import ImageInput
    from kexport.options.sampling import Sampling
    from kexport.options.task import Task
    from kexport.parity.reference import Expected, Reference
    from kexport.stages.finish import Finished
    from kexport.stages.request import Request
    from kexport.stages.write import write

    chosen = targets.find(target)
    graph, guard = lowered(subject.artifact, chosen, subject.samples)
    request = Request(
        target=chosen,
        recipe=Recipe(),
        image_input=ImageInput(),
        task=Task(),
        calibration=Calibration(),
        sampling=Sampling(),
        batch=1,
        labels=None,
        class_names=None,
        output_layers=(),
        top_k=None,
        output=None,
        layout_triton=None,
        force=False,
        timestamps=False,
        examples=None,
    )
    nothing = Reference(subject.samples, Expected({}, {}))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write(work, subject, Finished(graph, guard, None, ()), nothing, request, silent)
        report = rtx_builder.build_rtx_engine(work, graph.model)
    strays = [stray for row in report.coverage for stray in row.strays]
    return {
        "model": name,
        "target": target,
        "ok": report.state == "built" and not strays,
        "message": report.message or ", ".join(strays),
        "check": report.entry(),
    }


def lowered(artifact: Any, target: Any, inputs: Any) -> tuple[Any, Any]:
    """Return the target's graph, and its nodes that stay float32."""
    from kexport.calibration.quantizer.tensorrt import TENSORRT_STRONGLY_TYPED
    from kexport.calibration.statistics.ranges import measure_ranges
    from kexport.passes import pipeline
    from kexport.stages import optimize
    from kexport.stages.optimize import halve

    if target.precision != "int8":
        return optimize.of_floats(artifact, target, inputs, 1, silent)
    form = pipeline.GraphFormat.of(target)
    plain = pipeline.continue_with(artifact, pipeline.passes_for(form, "prepare int8"))
    names, images = TENSORRT_STRONGLY_TYPED.tensors(plain.model), inputs.raw["image"]
    ranges = measure_ranges(plain.model, names, images, batch=1, method="minmax")
    model = TENSORRT_STRONGLY_TYPED.quantize(plain.model, ranges, frozenset())
    finish = pipeline.passes_for(form, "finish int8")
    whole = pipeline.continue_with(replace(plain, model=model), finish)
    return halve(whole, form, images, silent)


def silent(step: str) -> None:
    del step


def cell(found: Mapping[str, Any] | None) -> str:
    """Describe the engine of one graph."""
    if found is None:
        return ""
    if "check" not in found:
        return "failed"
    check = found["check"]
    if check["state"] != "built":
        return str(check["state"])
    merged: dict[str, list[int]] = {}
    for row in check["coverage"]:
        counts = merged.setdefault(row["type"], [0, 0])
        counts[0] += row["found"]
        counts[1] += row["wanted"]
    rows = [f"{found} of {wanted} {kind}" for kind, (found, wanted) in sorted(merged.items())]
    return f"{', '.join(rows)}; {check['layers']} layers"


def page(
    results: Mapping[tuple[str, str], Mapping[str, Any]],
    names: Sequence[str],
    targets: Sequence[str],
) -> str:
    """Return the whole page."""
    rows = [[name, *(cell(results.get((name, target))) for target in targets)] for name in names]
    pairs = [(name, target) for name in names for target in targets]
    known = [results[pair] for pair in pairs if pair in results]
    good = sum(bool(found["ok"]) for found in known)
    faults = [
        f"- {found['model']} for {found['target']}: {found['message']}"
        for found in known
        if not found["ok"]
    ]
    parts = [
        f"{rtx_builder.version()}. {machine()}. {versions()}.",
        f"{good} of {len(known)} graphs are built with every convolution and matrix product in the "
        "type that the graph gives it.",
        table(["Application", *targets], rows),
        *faults,
    ]
    return f"{HEAD}\n\n{joined(parts)}\n"


def wanted(names: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
    """List the engines to build, the smallest model first."""
    return [
        (name, target)
        for name in lightest_first(names)
        for target in targets
        if not target.endswith("int8") or name in INT8
    ]


def built(name: str, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Run `build_once` in a process of its own."""
    found = measure(__file__, ["--once", name, ",".join(targets)])
    if "results" in found:
        results: list[dict[str, Any]] = found["results"]
        return results
    return [failed(name, target, found["error"]) for target in targets]


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(zoo.ZOO), help="names, with commas")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--json", type=Path, default=Path("build/engines.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what the JSON file has as done")
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.once:
        name, listed = asked.once
        answer({"results": build_once(name, listed.split(","))})
        return 0
    if not rtx_builder.is_installed():
        print("nothing was built: TensorRT for RTX is not installed (the extra rtx)")
        return 0
    names = [zoo.find(name).name for name in asked.models.split(",")]
    targets = asked.targets.split(",")
    results = open_results(asked.json, resume=asked.resume)
    for name in lightest_first(names):
        due = [target for _, target in wanted([name], targets) if not results.is_done(name, target)]
        for found in built(name, due) if due else ():
            results.add(found)
            print(f"{name} {found['target']}: {found['message'] or cell(found)}", flush=True)
    if asked.out:
        asked.out.write_text(page(results.found, names, targets), encoding="utf-8")
    return int(not all(results.found[one]["ok"] for one in wanted(names, targets)))


if __name__ == "__main__":
    sys.exit(main())

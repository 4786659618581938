"""Every Keras Application, exported at its default size and proven equal to Keras: docs/zoo.md.

    python bench/zoo.py [--models mobilenet,vgg16] [--targets cpu-fp32,trt-fp16]
        [--out docs/zoo.md] [--json build/zoo.jsonl] [--resume]

Each export is a process of its own and goes through kexport.api.export into a temporary folder.
Every result is appended to the JSON file at once; --resume takes what is there and does the rest.
The exit status is 1 when any export fails.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from machine import peak_memory
from process import answer, measure
from results import failed, open_results
from zoo_page import page

from kexport import zoo

TARGETS = ("cpu-fp32", "trt-fp16")

HEAVY = (
    *("densenet201", "resnet101", "resnet101_v2", "inception_resnet_v2", "resnet152"),
    *("resnet152_v2", "convnext_base", "efficientnet_v2_s", "efficientnet_b4", "efficientnet_b5"),
    *("vgg16", "vgg19", "nasnet_large", "efficientnet_v2_m", "efficientnet_b6", "convnext_large"),
    *("efficientnet_v2_l", "efficientnet_b7", "convnext_xlarge"),
)
"""The largest models, which run last, the smallest of them first."""


def export_once(name: str, target: str) -> dict[str, Any]:
    """Export one Application in this process, and report the result."""
    from kexport.api import export
    from kexport.errors import KexportError
    from kexport.options.application import Recipe

    marks: list[tuple[str, float]] = []
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        bundle, message = Path(folder, "bundle"), ""
        try:
            export(
                name,
                target,
                output=bundle,
                recipe=Recipe(weights="random"),
                progress=lambda step: marks.append((step, time.process_time())),
            )
        except KexportError as error:
            message = f"{type(error).__name__}: {error}".replace(folder, "")
        marks.append(("end", time.process_time()))
        result = {
            "model": name,
            "target": target,
            "ok": not message,
            "message": message,
            "peak": peak_memory(),
            "seconds": marks[-1][1] - begun,
            "convert_seconds": convert_seconds(marks),
        }
        whole = bundle if bundle.exists() else bundle.with_name("bundle.rejected")
        return {**result, **described(whole)} if whole.exists() else result


def convert_seconds(marks: Iterable[tuple[str, float]]) -> float:
    """Return the processor seconds from the Keras model to the finished graph, less observation."""
    marks = list(marks)
    spent = {
        step: until - since
        for (step, since), (_, until) in itertools.pairwise(marks)
        if step != OBSERVATION
    }
    names = [step for step, _ in marks]
    if not {FIRST, BEHIND} <= set(names):
        return float("nan")
    return sum(spent.get(step, 0) for step in set(names[names.index(FIRST) : names.index(BEHIND)]))


FIRST, OBSERVATION, BEHIND = (
    "converting",
    "observing the values of every tensor",
    "running Keras for comparison",
)
"""What `export` says as it begins to convert, as it observes, and when the graph is finished."""


def described(bundle: Path) -> dict[str, Any]:
    """Read the manifest of a bundle, or of a rejected one."""
    import onnx_ir as ir

    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    graph = ir.load(bundle / "model.onnx").graph
    kinds = Counter(node.op_type for node in graph)
    files = manifest["files"]
    outputs = manifest["parity"]["outputs"]
    compared = outputs.get("logits") or next(iter(outputs.values()))
    return {
        "nodes": len(graph),
        "transposes": kinds["Transpose"],
        "float32_nodes": len(manifest["float32_nodes"]),
        "bytes": sum(files[name]["bytes"] for name in files if name.startswith("model.onnx")),
        "error": compared["error"],
        "tolerance": compared["tolerance"],
        "traced": manifest["model"]["traced"],
    }


def lightest_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: HEAVY.index(name) if name in HEAVY else -1)


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(zoo.ZOO), help="names, with commas")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument(
        "--json", type=Path, default=Path("build/zoo.jsonl"), help="results, a line each"
    )
    parser.add_argument("--resume", action="store_true", help="keep what the JSON file has as done")
    parser.add_argument("--once", nargs=2, metavar=("MODEL", "TARGET"), help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.once:
        answer(export_once(*asked.once))
        return 0
    names = [zoo.find(name).name for name in asked.models.split(",")]
    targets = asked.targets.split(",")
    results = open_results(asked.json, resume=asked.resume)
    for target in targets:
        for name in lightest_first(names):
            if results.is_done(name, target):
                continue
            result = measure(__file__, ["--once", name, target])
            if "model" not in result:
                result = failed(name, target, result["error"])
            results.add(result)
            print(said(result), flush=True)
    if asked.out:
        asked.out.write_text(page(results.found, names, targets), encoding="utf-8")
    wanted = [results.found[name, target] for target in targets for name in names]
    good = sum(result["ok"] for result in wanted)
    print(f"{good} of {len(wanted)} exports are equal to Keras within tolerance")
    return int(good < len(wanted))


def said(result: dict[str, Any]) -> str:
    """Format one line for the terminal."""
    state = "ok" if result["ok"] else result["message"]
    if "error" not in result:
        return f"{result['model']} {result['target']}: {state}"
    return (
        f"{result['model']} {result['target']}: error {result['error']:.1e}, "
        f"{result['nodes']} nodes, {result['transposes']} Transposes, "
        f"{result['convert_seconds']:.1f} s to convert, {result['seconds']:.0f} s in all, "
        f"{result['peak'] / 1e9:.1f} GB, {state}"
    )


if __name__ == "__main__":
    sys.exit(main())

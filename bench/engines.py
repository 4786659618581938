"""Every Keras Application through NVIDIA's own parser and builder, without a GPU: docs/engines.md.

    python bench/engines.py [--models mobilenet,vgg16] [--targets trt-fp32,trt-fp16,trt-int8]
        [--out docs/engines.md] [--json build/engines.jsonl] [--resume]

Each export is a process of its own, with random weights, into a temporary folder; TensorRT for RTX
builds its graph there. INT8 is calibrated on drawn pictures, which says nothing of accuracy, for
the Applications in INT8. The exit status is 1 when a graph is not built, or when a convolution or
matrix product runs in another type than the graph's. Without TensorRT for RTX (the extra `rtx`)
nothing is built, and the exit status is 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import machine, versions
from page import table
from process import answer, measure
from zoo import lightest_first, read_results

from kexport import zoo
from kexport.emit import builder

TARGETS = ("trt-fp32", "trt-fp16", "trt-int8")

INT8 = (
    *("mobilenet_v2", "mobilenet_v3_small", "resnet50", "inception_v3", "densenet121"),
    *("efficientnet_b0", "xception", "nasnet_mobile", "convnext_tiny", "vgg16"),
)

CALIBRATED = 24
"""Drawn pictures for INT8; as few as serve, since their ranges mean nothing."""

HEAD = """\
# Engines that NVIDIA's builder makes of the graphs

Written by `python bench/engines.py --out docs/engines.md` (part of `make test-zoo`). Each
Application is built at its default size with random weights and exported for TensorRT 11; TensorRT
for RTX, on a machine without a GPU, parses the graph and builds an engine of it. The cells say how
many of the graph's convolutions and matrix products run in the type that the graph has for them,
and how many layers the engine has. Nothing was run on a GPU."""


def export_once(name: str, target: str) -> dict[str, Any]:
    """Export one Application in this process, and say what the builder made of it."""
    from kexport.api import export
    from kexport.errors import KexportError
    from kexport.pictures import pictures
    from kexport.recipe import Recipe

    size = zoo.find(name).size
    drawn = pictures(CALIBRATED, size, size) if target.endswith("int8") else None
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle")
        recipe = Recipe(weights="random")
        try:
            made = export(name, target, output=bundle, recipe=recipe, calibration_data=drawn)
        except KexportError as error:
            return failed(name, target, f"{type(error).__name__}: {error}".replace(folder, ""))
    check = made.manifest["engine_check"]
    strays = [stray for row in check["coverage"] for stray in row["strays"]]
    return {
        "model": name,
        "target": target,
        "ok": check["state"] == "built" and not strays,
        "message": check["message"] or ", ".join(strays),
        "check": check,
    }


def failed(name: str, target: str, why: str) -> dict[str, Any]:
    """The result of an export that came to nothing."""
    return {"model": name, "target": target, "ok": False, "message": why}


def cell(found: Mapping[str, Any] | None) -> str:
    """What one graph became."""
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
    """The whole page."""
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
        HEAD,
        f"{builder.version()}. {machine()}. {versions()}.",
        f"{good} of {len(known)} graphs are built with every product in the graph's type.",
        table(["Application", *targets], rows),
        *faults,
    ]
    return "\n\n".join(parts) + "\n"


def wanted(names: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
    """What is to be built, lightest first; INT8 for those in INT8."""
    return [
        (name, target)
        for name in lightest_first(names)
        for target in targets
        if not target.endswith("int8") or name in INT8
    ]


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", default=",".join(zoo.ZOO), help="names, with commas")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--json", type=Path, default=Path("build/engines.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what the JSON file has as done")
    parser.add_argument("--once", nargs=2, metavar=("MODEL", "TARGET"), help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.once:
        answer(export_once(*asked.once))
        return 0
    if not builder.available():
        print("nothing was built: TensorRT for RTX is not installed (the extra rtx)")
        return 0
    names = [zoo.find(name).name for name in asked.models.split(",")]
    targets = asked.targets.split(",")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    if not asked.resume:
        asked.json.unlink(missing_ok=True)
    results = read_results(asked.json)
    for name, target in wanted(names, targets):
        if results.get((name, target), {}).get("ok"):
            continue
        found = measure(__file__, ["--once", name, target])
        if "model" not in found:
            found = failed(name, target, found["error"])
        results[name, target] = found
        with asked.json.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(found)}\n")
        print(f"{name} {target}: {found['message'] or cell(found)}", flush=True)
    if asked.out:
        asked.out.write_text(page(results, names, targets), encoding="utf-8")
    return int(not all(results[one]["ok"] for one in wanted(names, targets)))


if __name__ == "__main__":
    sys.exit(main())

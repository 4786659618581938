"""The table of a bundle: its contents, its difference from Keras, and the next command."""

import itertools
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kexport.cli.tables.images import classes, labelled, preprocessing, resizing, tried
from kexport.cli.tables.parity import coverage, engine_lines, parity_lines
from kexport.cli.tables.table import megabytes, named, pairs

if TYPE_CHECKING:
    from kexport.bundle.local_engine import VerifiedEngine
    from kexport.stages.resizing import ResizeTrial

_NAMED_NODES = 3
"""Number of nodes named that run in a type other than the graph's; manifest.json has all."""


def bundle_table(
    path: Path,
    manifest: Mapping[str, Any],
    built: "VerifiedEngine | None" = None,
    trial: "ResizeTrial | None" = None,
    latency: str | None = None,
) -> Table:
    """Summarize a bundle: its contents, its difference from Keras, and the next command.

    `built` is an engine that was built for the GPU of this machine, `trial` how well Keras did on
    labelled images that were resized in several ways, `latency` how long the bundle takes here.
    """
    model, target, parity = manifest["model"], manifest["target"], manifest["parity"]
    rows = [
        ("model", f"{model['name']}, weights: {model['weights']}"),
        ("target", f"{target['name']}, opset {target['opset']}"),
        *named("toolchain", filter(None, [target["toolchain"]])),
        *named("warning", _warnings(manifest["findings"])),
        *named("input", (_tensor(row) for row in manifest["inputs"])),
        *named("images", preprocessing(manifest)),
        *named("resize", (*resizing(manifest), *tried(trial))),
        *named("output", (_tensor(row) for row in manifest["outputs"])),
        *named("classes", classes(path, manifest)),
        *named("task", _task(manifest["task"])),
        ("size", megabytes(size_of(manifest))),
        *named("speed", filter(None, [latency])),
        *named("float32", _float32(manifest["float32_nodes"])),
        *named("largest", _largest(manifest["largest_value"])),
        *named("labelled", labelled(manifest.get("labelled"))),
        *named("parity", parity_lines(parity)),
        *named("coverage", coverage(parity.get("coverage"))),
        *named("engine", (*_engine_here(built), *_engine(manifest, here=built is not None))),
        ("bundle", str(path)),
        *named("next", _next_commands(path, manifest, built=built is not None)),
    ]
    return pairs(rows)


def size_of(manifest: Mapping[str, Any]) -> int:
    """Return the bytes of the model's files."""
    names = ("model.onnx", "model.onnx.data")
    return sum(file["bytes"] for name, file in manifest["files"].items() if name in names)


def _tensor(row: Mapping[str, Any]) -> str:
    sizes = [
        _free(row, axis) if size is None else str(size) for axis, size in enumerate(row["shape"])
    ]
    shape = ", ".join(sizes)
    return " ".join(filter(None, (row["name"], row["dtype"], f"[{shape}]", row.get("color"))))


def _warnings(findings: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yield one line for each broken rule: the first place, and how many more there are."""
    for _, group in itertools.groupby(findings, key=lambda row: row["rule"]):
        first, *others = group
        more = f" (and {len(others)} more)" if others else ""
        yield f"{first['node'] or 'the graph'}: {first['what']}; {first['effect']}{more}"


def _engine_here(built: "VerifiedEngine | None") -> Iterable[str]:
    """Yield the engine for this machine's GPU, and its difference from Keras."""
    if built is not None:
        place, rows = built.record["place"], built.verification["rows"]
        maker = f"{place['module']} {place['version']}"
        yield f"{megabytes(built.bytes)} for {place['gpu']}, by {maker}; the same images on it:"
        yield from engine_lines(rows)


def _engine(manifest: Mapping[str, Any], *, here: bool) -> Iterable[str]:
    """Yield where the engine is built, and the result of TensorRT-RTX' builder if it ran.

    Unless the engine was built ahead of time, or on this machine (`here`), the device builds it;
    the builder is only a check then.
    """
    if manifest["build"] is None:
        return
    if manifest["build"]["builder"] == "tensorrt" and not here:
        yield "to be built on the device"
    check = manifest["engine_check"]
    if check is None:
        return
    if check["state"] != "built":
        yield f"{check['state']} by {check['builder']}: {check['message']}"
        return
    yield f"{check['builder']} builds it: {megabytes(check['bytes'])}, {check['layers']} layers"
    for row in check["coverage"]:
        yield row["said"]
        yield from (f"not so: {stray}" for stray in row["strays"][:_NAMED_NODES])
        if len(row["strays"]) > _NAMED_NODES:
            yield f"and {len(row['strays']) - _NAMED_NODES} more, see manifest.json"


def _free(row: Mapping[str, Any], axis: int) -> str:
    """Return the name of an axis of free size."""
    layout = row.get("layout") or "N"
    return layout[axis] if axis < len(layout) else "?"


def _task(task: Mapping[str, Any]) -> Iterable[str]:
    """Yield the task and, where the user did not tell it, what did."""
    if task["reason"] is None:
        yield task["name"]
    elif task["name"] == "raw":
        yield f"raw, since {task['reason']}; choose one with --task"
    else:
        yield f"{task['name']}, from {task['reason']}; choose another with --task"


def _float32(nodes: Sequence[Mapping[str, str]]) -> Iterable[str]:
    """Yield the first nodes that stay float32, and why."""
    yield from (f"{row['node']}: {row['reason']}" for row in nodes[:_NAMED_NODES])
    if len(nodes) > _NAMED_NODES:
        yield f"and {len(nodes) - _NAMED_NODES} more, see manifest.json"


def _largest(found: Mapping[str, Any] | None) -> Iterable[str]:
    if found is not None:
        yield f"{found['value']:g} in {found['tensor']}, of 65504 that float16 holds"


def _next_commands(path: Path, manifest: Mapping[str, Any], *, built: bool) -> Iterable[str]:
    bundle = shlex.quote(str(path))
    build = manifest["build"]
    if build is not None and build["builder"] == "tensorrt" and not built:
        plain = build["program"] == "build_engine.sh"
        command = "sh {}/build_engine.sh" if plain else "python {}/build_engine.py --verify"
        yield f"on the device: {command.format(bundle)}"
    if any(row["color"] for row in manifest["inputs"]):
        yield f"kexport run {bundle} image.jpg"
    else:
        yield f"kexport verify {bundle}"

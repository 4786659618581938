"""What the commands print to stdout when it is not JSON."""

import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from kexport.cli.terminal import printable

if TYPE_CHECKING:
    from kexport.bundle.local_engine import VerifiedEngine
    from kexport.cli.doctor import Check
    from kexport.runtime import Verification
    from kexport.zoo import Application

_WIDTH_OF_A_PIPE = 120
"""Columns where stdout is no terminal and COLUMNS is not set."""

_PREPROCESSING = {
    "tf": "tf: -1..1",
    "caffe": "caffe: BGR, minus the mean",
    "torch": "torch: mean and deviation",
    "none": "none",
}


_Measured = tuple[str, float, float, float]
"""Name, largest difference, error, tolerance."""

_STRAYS = 3
"""How many nodes that run in another type than the graph's are named."""


class PlainTable(Table):
    """A table whose cells are one line each, and cannot steer the terminal."""

    def add_row(self, *cells: str, **style: Any) -> None:  # type: ignore[override]
        """Add a row of texts, printed as they are: no markup, no control characters."""
        super().add_row(*map(printable, cells), **style)


def show(table: Table) -> None:
    """Print to stdout, no blanks at the ends of lines; colours and width are the terminal's."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _WIDTH_OF_A_PIPE if piped else None
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def bundle_table(
    path: Path, manifest: Mapping[str, Any], built: "VerifiedEngine | None" = None
) -> Table:
    """What was made, how far it strays from Keras, where it is, and what to type next.

    `built` is an engine that was built for the GPU of this machine.
    """
    model, target, parity = manifest["model"], manifest["target"], manifest["parity"]
    size = sum(file["bytes"] for name, file in manifest["files"].items() if _holds_model(name))
    rows = [
        ("model", f"{model['name']}, weights: {model['weights']}"),
        ("target", f"{target['name']}, opset {target['opset']}"),
        *_named("toolchain", filter(None, [target["toolchain"]])),
        *_named("warning", _warnings(manifest["findings"])),
        *_named("input", (_tensor(row) for row in manifest["inputs"])),
        *_named("output", (_tensor(row) for row in manifest["outputs"])),
        ("size", megabytes(size)),
        *_named("float32", _float32(manifest["float32_nodes"])),
        *_named("largest", _largest(manifest["largest_value"])),
        *_named("parity", _parity(parity["outputs"], parity["images"])),
        *_named("engine", (*_engine_here(built), *_engine(manifest, here=built is not None))),
        ("bundle", str(path)),
        *_named("next", _next_commands(path, manifest, built=built is not None)),
    ]
    return pairs(rows)


def applications_table(applications: Iterable["Application"]) -> Table:
    """One row per Keras Application."""
    table = headed("model", "keras.applications", "picture", "preprocessing", right=("picture",))
    for row in applications:
        mode = "inside the model" if row.inside else _PREPROCESSING[row.mode]
        table.add_row(row.name, row.builder, f"{row.size} x {row.size}", mode)
    return table


def verification_table(path: Path, verification: "Verification") -> Table:
    """Each golden output beside what the bundle computes now."""
    measured = [(row.name, row.max_abs, row.error, row.tolerance) for row in verification.rows]
    measures = _compared(measured, f"on {verification.images} golden images", "the bundle")
    return pairs(
        [
            ("bundle", str(path)),
            ("model", f"{verification.model} for {verification.target}"),
            ("engine", verification.engine),
            ("files", f"{verification.files}, all as the manifest says"),
            *_named("parity", measures),
            ("result", "passed" if verification.passed else "FAILED"),
        ]
    )


def predictions_table(answers: Iterable[Mapping[str, Any]]) -> Table:
    """The best classes of each image that could be read, best first."""
    table = headed("picture", "class", "label", "score", right=("class", "score"))
    for answer in answers:
        for rank, found in enumerate(answer.get("predictions", ())):
            name = "" if rank else answer["picture"]
            table.add_row(name, str(found["index"]), found["label"], f"{found['score']:.4f}")
    return table


def checks_table(checks: Iterable["Check"]) -> Table:
    """The findings of the doctor."""
    table = headed("what", "state", "found", "to do")
    for check in checks:
        table.add_row(check.subject, check.state, check.detail, check.advice or "")
    return table


def megabytes(count: int) -> str:
    """`count` bytes in units of 10^6 bytes: `98.2 MB`, `0.04 MB`."""
    return f"{count / 1e6:.{1 if count >= 1e6 else 2}f} MB"


def _holds_model(name: str) -> bool:
    return name in ("model.onnx", "model.onnx.data")


def _tensor(row: Mapping[str, Any]) -> str:
    sizes = [
        _free(row, axis) if size is None else str(size) for axis, size in enumerate(row["shape"])
    ]
    shape = ", ".join(sizes)
    return " ".join(filter(None, (row["name"], row["dtype"], f"[{shape}]", row.get("color"))))


def _warnings(findings: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """One line for each rule: the first place, and how many more there are."""
    for _, group in itertools.groupby(findings, key=lambda row: row["rule"]):
        first, *others = group
        more = f" (and {len(others)} more)" if others else ""
        yield f"{first['node'] or 'the graph'}: {first['what']}; {first['effect']}{more}"


def _engine_here(built: "VerifiedEngine | None") -> Iterable[str]:
    """The engine for this machine's GPU, and how far it strays from Keras."""
    if built is not None:
        place, rows = built.record["place"], built.verification["rows"]
        maker = f"{place['module']} {place['version']}"
        yield f"{megabytes(built.bytes)} for {place['gpu']}, by {maker}; the same images on it:"
        measured = [_measured(row["name"], row) for row in rows]
        by_keras, by_graph = _apart(measured)
        yield from _measures(by_keras)
        yield from (f"{line}, by the graph" for line in _measures(by_graph))


def _engine(manifest: Mapping[str, Any], *, here: bool) -> Iterable[str]:
    """Where the engine comes from, and what NVIDIA's own builder made of the graph, if it is here.

    An engine that is not built ahead of time, or `here`, is built on the device; the builder is a
    check then.
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
        yield from (f"not so: {stray}" for stray in row["strays"][:_STRAYS])
        if len(row["strays"]) > _STRAYS:
            yield f"and {len(row['strays']) - _STRAYS} more, see manifest.json"


def _free(row: Mapping[str, Any], axis: int) -> str:
    """What to write for a size that is free."""
    layout = row.get("layout") or "N"
    return layout[axis] if axis < len(layout) else "?"


def _float32(nodes: Sequence[Mapping[str, str]]) -> Iterable[str]:
    """The first of the nodes that float16 cannot hold, and why."""
    yield from (f"{row['node']}: {row['reason']}" for row in nodes[:_STRAYS])
    if len(nodes) > _STRAYS:
        yield f"and {len(nodes) - _STRAYS} more, see manifest.json"


def _largest(found: Mapping[str, Any] | None) -> Iterable[str]:
    if found is not None:
        yield f"{found['value']:g} in {found['tensor']}, of 65504 that float16 holds"


def _parity(outputs: Mapping[str, Mapping[str, Any]], images: int) -> Iterable[str]:
    measured = [_measured(name, row) for name, row in outputs.items()]
    return _compared(measured, f"on {images} images", "the bundle's runtime")


def _measured(name: str, row: Mapping[str, Any]) -> _Measured:
    return name, row["max_abs"], row["error"], row["tolerance"]


def _compared(rows: Sequence[_Measured], where: str, what: str) -> Iterable[str]:
    """How far something is from Keras, and from the quantised graph where that was measured."""
    by_keras, by_graph = _apart(rows)
    yield from _measures(by_keras)
    yield f"{where}, Keras against {what}"
    if by_graph:
        yield from _measures(by_graph)
        yield f"on the same, the quantised graph against {what}"


def _apart(rows: Sequence[_Measured]) -> tuple[list[_Measured], list[_Measured]]:
    """The rows that are measured against Keras, and those against the graph under plain names."""
    from kexport.runtime.manifest import GRAPH  # with it comes numpy

    by_keras = [row for row in rows if not row[0].startswith(GRAPH)]
    by_graph = [(row[0][len(GRAPH) :], *row[1:]) for row in rows if row[0].startswith(GRAPH)]
    return by_keras, by_graph


def _measures(rows: Sequence[_Measured]) -> Iterable[str]:
    """The strictest rows in units of their spread; the others, of a softmax, as they are."""
    strictest = min((tolerance for _, _, _, tolerance in rows), default=0.0)
    for name, largest, error, tolerance in rows:
        if tolerance == strictest or not error:
            yield f"{name}: error {error:.1e}, tolerance {tolerance:.0e}"
        else:
            allowed = largest / error * tolerance
            yield f"{name}: largest difference {largest:.1e}, allowed {allowed:.1e}"


def _next_commands(path: Path, manifest: Mapping[str, Any], *, built: bool) -> Iterable[str]:
    bundle = shlex.quote(str(path))
    build = manifest["build"]
    if build is not None and build["builder"] == "tensorrt" and not built:
        plain = build["program"] == "build_engine.sh"
        command = "sh {}/build_engine.sh" if plain else "python {}/build_engine.py --verify"
        yield f"on the device: {command.format(bundle)}"
    takes_images = any(row["color"] for row in manifest["inputs"])
    ranks_classes = any(
        row["kind"] in ("probabilities", "logits", "scores") for row in manifest["outputs"]
    )
    if takes_images and ranks_classes:
        yield f"kexport run {bundle} image.jpg"
    else:
        yield f"kexport verify {bundle}"


def _named(name: str, values: Iterable[str]) -> Iterable[tuple[str, str]]:
    return (("" if index else name, value) for index, value in enumerate(values))


def headed(*names: str, right: Sequence[str] = ()) -> Table:
    """A table without rows; the columns in `right` are flush right."""
    table = PlainTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """A name and a value a line."""
    table = PlainTable.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table

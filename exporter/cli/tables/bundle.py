"""Tables on stdout: bundles, verifications, predictions, Applications and checks."""

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
from kexport.options.preprocessing import Custom, described

if TYPE_CHECKING:
    from kexport.bundle.local_engine import VerifiedEngine
    from kexport.cli.installation import Check
    from kexport.runtime import Verification
    from kexport.runtime.answers import Answered
    from kexport.runtime.predict import Answer
    from kexport.stages.resizing import ResizeTrial
    from kexport.zoo import Application

_WIDTH_OF_A_PIPE = 120
"""Columns if stdout is not a terminal and COLUMNS is not set."""

_PREPROCESSING = {
    "tf": "tf: -1..1",
    "caffe": "caffe: BGR, minus the mean",
    "torch": "torch: mean and deviation",
    "none": "none",
}


_RESIZED_LIKE = {
    "tf": "as image_dataset_from_directory and tf.image",
    "pil": "as load_img and Pillow",
    "cv2": "as OpenCV",
}
"""What resizes as the methods of a library do."""

_Measured = tuple[str, float, float, float]
"""Name, largest difference, error, tolerance."""

_NAMED_NODES = 3
"""Number of nodes named that run in a type other than the graph's; manifest.json has all."""


_NUMBERS = (
    "class",
    "score",
    "threshold",
    "value",
    "share",
    *("left", "top", "right", "bottom"),
    "similarity",
    "width",
    "height",
    "channels",
    "numbers",
    "length",
    "least",
    "mean",
    "largest",
)
"""Columns of answers that are numbers."""

_NAMED_BRANCHES = 4
"""Number of branches named that no sample reaches; manifest.json has all."""


_NAMED_CLASSES = 6
"""Number of classes named, with the last one; labels.txt has all."""


class PlainTable(Table):
    """A table whose cells are one line each, and cannot steer the terminal."""

    def add_row(self, *cells: str, **style: Any) -> None:  # type: ignore[override]
        """Add a row of texts, printed as they are: no markup, no control characters."""
        super().add_row(*map(printable, cells), **style)


def show(table: Table) -> None:
    """Print to stdout without trailing blanks, in the colours and the width of the terminal."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _WIDTH_OF_A_PIPE if piped else None
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def bundle_table(
    path: Path,
    manifest: Mapping[str, Any],
    built: "VerifiedEngine | None" = None,
    trial: "ResizeTrial | None" = None,
) -> Table:
    """Summarize a bundle: its contents, its difference from Keras, and the next command.

    `built` is an engine that was built for the GPU of this machine, `trial` how well Keras did on
    labelled images that were resized in several ways.
    """
    model, target, parity = manifest["model"], manifest["target"], manifest["parity"]
    size = sum(file["bytes"] for name, file in manifest["files"].items() if _holds_model(name))
    rows = [
        ("model", f"{model['name']}, weights: {model['weights']}"),
        ("target", f"{target['name']}, opset {target['opset']}"),
        *_named("toolchain", filter(None, [target["toolchain"]])),
        *_named("warning", _warnings(manifest["findings"])),
        *_named("input", (_tensor(row) for row in manifest["inputs"])),
        *_named("images", _preprocessing(manifest)),
        *_named("resize", (*_resizing(manifest), *_tried(trial))),
        *_named("output", (_tensor(row) for row in manifest["outputs"])),
        *_named("classes", _classes(path, manifest)),
        *_named("task", _task(manifest["task"])),
        ("size", megabytes(size)),
        *_named("float32", _float32(manifest["float32_nodes"])),
        *_named("largest", _largest(manifest["largest_value"])),
        *_named("labelled", _labelled(manifest.get("labelled"))),
        *_named("parity", _parity(parity)),
        *_named("coverage", _coverage(parity.get("coverage"))),
        *_named("engine", (*_engine_here(built), *_engine(manifest, here=built is not None))),
        ("bundle", str(path)),
        *_named("next", _next_commands(path, manifest, built=built is not None)),
    ]
    return pairs(rows)


def applications_table(applications: Iterable["Application"]) -> Table:
    """List Keras Applications, one in a row."""
    table = headed("model", "keras.applications", "image", "preprocessing", right=("image",))
    for row in applications:
        mode = "inside the model" if row.inside else _PREPROCESSING[row.mode]
        table.add_row(row.name, row.builder, f"{row.size} x {row.size}", mode)
    return table


def verification_table(path: Path, verification: "Verification") -> Table:
    """Compare each golden output with what the bundle computes now."""
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


def answers_table(found: Iterable["Answered"]) -> Table:
    """List the answer of each image that could be read."""
    answers = [(one.image, one.answer) for one in found if one.answer is not None]
    columns, _ = _cells(answers[0][1])
    table = headed("image", *columns, right=_NUMBERS)
    for image, answer in answers:
        for place, row in enumerate(_cells(answer)[1]):
            table.add_row("" if place else image, *row)
    return table


def _cells(answer: "Answer") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns of an answer, and its rows; classes have their index before them."""
    from kexport.runtime import Classes

    if not isinstance(answer, Classes):
        return answer.columns, answer.rows()
    indices = [str(found.index) for found in answer.predictions]
    rows = zip(indices, answer.rows(), strict=True)
    return ("class", *answer.columns), [(index, *row) for index, row in rows]


def checks_table(checks: Iterable["Check"]) -> Table:
    """List the results of the doctor's checks."""
    table = headed("what", "state", "found", "to do")
    for check in checks:
        table.add_row(check.subject, check.state, check.detail, check.advice or "")
    return table


def megabytes(count: int) -> str:
    """Write a number of bytes in units of 10^6 bytes, such as `98.2 MB` or `0.04 MB`."""
    return f"{count / 1e6:.{1 if count >= 1e6 else 2}f} MB"


def _holds_model(name: str) -> bool:
    return name in ("model.onnx", "model.onnx.data")


def _tensor(row: Mapping[str, Any]) -> str:
    sizes = [
        _free(row, axis) if size is None else str(size) for axis, size in enumerate(row["shape"])
    ]
    shape = ", ".join(sizes)
    return " ".join(filter(None, (row["name"], row["dtype"], f"[{shape}]", row.get("color"))))


def _resizing(manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield what happens to an image that has not the model's size."""
    inside = manifest["preprocessing"].get("resize")
    if inside is not None:
        yield f"{inside}, in the graph"
    for row in manifest["inputs"]:
        if "resize" in row:
            method, fit = row["resize"]["method"], row["resize"]["fit"]
            yield f"{method}, {fit}: {_RESIZED_LIKE[method.partition('-')[0]]}"


def _tried(trial: "ResizeTrial | None") -> Iterable[str]:
    """Yield how many labelled images Keras has right for each way of resizing, best first."""
    if trial is not None:
        order = sorted(trial.accuracies, key=lambda method: -trial.accuracies[method])
        found = ", ".join(f"{method} {trial.accuracies[method]:.1%}" for method in order)
        yield f"Keras on {trial.images} labelled images: {found}"
        if trial.best != trial.compared:
            yield f"{trial.best} over {trial.compared} by chance: {trial.chance:.1g}"


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
        measured = [_measured(row["name"], row) for row in rows]
        by_keras, by_graph = _apart(measured)
        yield from _measures(by_keras)
        yield from (f"{line}, by the graph" for line in _measures(by_graph))


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


def _preprocessing(manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield how images are preprocessed, where, and what says so."""
    entry = manifest["preprocessing"]
    if not any(row["color"] for row in manifest["inputs"]):
        return
    inside = ", ".join(entry.get("layers", ()))
    if inside:
        yield f"preprocessed inside the model, by {inside}"
    if entry["mode"] != "none" or not inside:
        yield _described(entry)
    if "chosen" in entry:
        shares = (f"{mode} {share:.1%}" for mode, share in entry["chosen"]["top1"].items())
        yield f"as {entry['chosen']['images']} labelled images fit it best: {', '.join(shares)}"


def _described(entry: Mapping[str, Any]) -> str:
    if entry["mode"] != "custom":
        return described(entry["mode"])
    numbers = {name: tuple(entry[name]) for name in ("scale", "mean", "std")}
    return described(Custom(**numbers, bgr=entry["bgr"]))


def _classes(path: Path, manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield the number of classes and their first and last labels, in the order of the outputs."""
    from kexport.runtime.labels import NAME  # with it comes numpy

    if NAME not in manifest["files"]:
        return
    labels = (path / NAME).read_text(encoding="utf-8").splitlines()
    shown = labels
    if len(labels) > _NAMED_CLASSES:
        shown = [*labels[: _NAMED_CLASSES - 1], "...", labels[-1]]
    yield f"{len(labels)}: {', '.join(shown)}"
    numbers = [int(label) for label in labels if label.isdecimal()]
    if len(numbers) == len(labels) and numbers != sorted(numbers):
        yield "numbers in the order of text, as Keras sorts folders: compare with training"


def _labelled(found: Mapping[str, Any] | None) -> Iterable[str]:
    """Yield how often Keras is right on labelled images."""
    if found is not None:
        low, high = found["interval"]
        share = f"Keras is right on {found['top1']:.1%} of {found['images']} labelled images"
        yield f"{share} (95 % interval {low:.1%} to {high:.1%})"


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


def _parity(parity: Mapping[str, Any]) -> Iterable[str]:
    """Yield the differences from Keras; logits are those before the activation, where known."""
    inner = parity.get("before_activation", {})
    names = {name: "logits" if len(inner) == 1 else f"{name}.logits" for name in inner}
    recovered = {"logits", *(f"{name}.logits" for name in inner)} if inner else set()
    rows = {name: row for name, row in parity["outputs"].items() if name not in recovered}
    rows |= {names[name]: row for name, row in inner.items()}
    measured = [_measured(name, row) for name, row in rows.items()]
    yield from _compared(measured, f"on {parity['images']} images", "the bundle's runtime")
    if parity.get("noise"):
        yield f"rounding alone moves Keras by {max(parity['noise'].values()):.1e} of the spread"
    if parity.get("probes"):
        yield f"and at {'; '.join(parity['probes'])}"


def _coverage(found: Mapping[str, Any] | None) -> Iterable[str]:
    """Yield how many branches of the graph the samples reach, and name some that they do not."""
    if found is None or not found["total"]:
        return
    yield f"{found['reached']} of {found['total']} branches reached"
    missed = [f"{row['layer']} {row['branch']}" for row in found["unreached"]]
    if missed:
        more = len(missed) - _NAMED_BRANCHES
        others = f" and {more} more, see manifest.json" if more > 0 else ""
        yield f"never: {', '.join(missed[:_NAMED_BRANCHES])}{others}"
    yield from (f"left out: {one}" for one in found["left_out"])


def _measured(name: str, row: Mapping[str, Any]) -> _Measured:
    return name, row["max_abs"], row["error"], row["tolerance"]


def _compared(rows: Sequence[_Measured], where: str, what: str) -> Iterable[str]:
    """Yield differences from Keras and, if they were measured, from the quantized graph."""
    by_keras, by_graph = _apart(rows)
    yield from _measures(by_keras)
    yield f"{where}, Keras against {what}"
    if by_graph:
        yield from _measures(by_graph)
        yield f"on the same, the quantized graph against {what}"


def _apart(rows: Sequence[_Measured]) -> tuple[list[_Measured], list[_Measured]]:
    """Split rows into those measured against Keras and, under plain names, against the graph."""
    from kexport.runtime.manifest import GRAPH  # with it comes numpy

    by_keras = [row for row in rows if not row[0].startswith(GRAPH)]
    by_graph = [(row[0][len(GRAPH) :], *row[1:]) for row in rows if row[0].startswith(GRAPH)]
    return by_keras, by_graph


def _measures(rows: Sequence[_Measured]) -> Iterable[str]:
    """Yield differences, relative to the spread in the rows with the smallest tolerance."""
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
    if any(row["color"] for row in manifest["inputs"]):
        yield f"kexport run {bundle} image.jpg"
    else:
        yield f"kexport verify {bundle}"


def _named(name: str, values: Iterable[str]) -> Iterable[tuple[str, str]]:
    return (("" if index else name, value) for index, value in enumerate(values))


def headed(*names: str, right: Sequence[str] = ()) -> Table:
    """Make a table without rows; the columns in `right` are aligned right."""
    table = PlainTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Make a table with a name and a value on each line."""
    table = PlainTable.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table

"""Manifest reader: parse and validate a bundle's manifest.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import manifest_schema
from .errors import BundleRefused
from .resize import UNSTATED, Resize
from .task import Task, task_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "manifest.json"
MODEL = "model.onnx"
GOLDEN = "golden.npz"

GRAPH = "graph:"
"""Prefix of names that refer to the quantised graph, each node computed unfused in float32: its
outputs in golden.npz, and the quantities that are measured against them."""

_FLOAT16_SCALES_OPSET = 19

EXPORT_AGAIN = "export the model again, or copy the bundle again whole"
"""The hint for a bundle that differs from what kexport wrote."""


@dataclass(frozen=True)
class InputSpec:
    """One input: its NumPy dtype, and its shape, batch first, with None for a free dimension.

    An image has a `color` (a key of `manifest_schema.COLORS`), the `layout` "NHWC" or "NCHW" and
    the `range` (0, 255); for a plain tensor all three are None, but for a range that the user told
    at the export. `resize` is how an image of another
    size becomes the model's before the graph, where the model takes one size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    layout: str | None
    color: str | None
    range: tuple[float, float] | None
    resize: Resize = UNSTATED

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width of the image, None if free; an NV12 array has 3/2 as many rows."""
        _, *sizes = self.shape
        height, width = sizes[1:] if self.layout == "NCHW" else sizes[:2]
        if self.color == "NV12" and height is not None:
            height = height * 2 // 3
        return height, width


@dataclass(frozen=True)
class OutputSpec:
    """One output: its meaning (`manifest_schema.KINDS`), and the Keras layer that it comes from.

    `indices` and `scores` have `of`, "probabilities" or "logits", for what is ranked, and `classes`
    for the number of classes ranked; for other outputs both are None.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    kind: str
    layer: str
    of: str | None = None
    classes: int | None = None


@dataclass(frozen=True)
class FileEntry:
    """The expected SHA-256 and size in bytes of a file of the bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The parts of manifest.json that running needs; `data` is the whole document as parsed.

    `tolerances` maps each measured quantity to the largest spread error that parity allowed,
    `files` each path (relative, forward slashes) to its entry.
    """

    model: str
    target: str
    device: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    tolerances: dict[str, float]
    files: dict[str, FileEntry]
    data: dict[str, Any]

    @property
    def task(self) -> Task:
        """What the outputs are for."""
        return task_of(self.data, self.outputs)

    @property
    def first_image(self) -> InputSpec | None:
        """The first input that takes images, on which answers are laid; None without one."""
        return next((spec for spec in self.inputs if spec.color is not None), None)

    @property
    def builds_engine(self) -> bool:
        """Whether the device runs an engine that is built from model.onnx."""
        return self.data.get("build") is not None

    @property
    def references(self) -> tuple[str, ...]:
        """Name prefixes of the reference outputs in golden.npz.

        The prefix is empty for Keras, and `GRAPH` for the quantised graph, if that is recorded.
        """
        with_graph = any(name.startswith(GRAPH) for name in self.tolerances)
        return ("", GRAPH) if with_graph else ("",)

    @property
    def half_scales(self) -> bool:
        """Whether the model is INT8 with float16 scales for TensorRT, which need opset 19.

        ONNX Runtime must not rewrite the Q/DQ pairs of such a model: its WeightBiasQuantization
        (1.31.1, at every optimisation level) quantises biases to int32, which lowers MobileNetV2
        from 33 dB to 2 dB.
        """
        target = self.data["target"]
        allowed = target["opset"] >= _FLOAT16_SCALES_OPSET
        return self.builds_engine and target["precision"] == "int8" and allowed


def read_manifest(bundle: Path) -> Manifest:
    """Read and validate `<bundle>/manifest.json`, without the other files.

    Raises BundleRefused if there is no bundle, or if the file is not JSON, has a schema number
    other than `manifest_schema.SCHEMA`, or violates the schema: the first fault is named.
    """
    if not bundle.is_dir():
        hint = "give the folder that holds manifest.json"
        raise BundleRefused(f"{bundle} is not a folder", hint=hint)
    data = _parsed(bundle / NAME)
    if (
        isinstance(data, dict)
        and data.get("schema", manifest_schema.SCHEMA) != manifest_schema.SCHEMA
    ):
        raise BundleRefused(
            f"{bundle / NAME} has schema {data['schema']!r}, "
            f"but this runtime reads {manifest_schema.SCHEMA}",
            hint="use the runtime/ folder inside the bundle, or another version of kexport",
        )
    fault = next(manifest_schema.faults(data), None)
    if fault is not None:
        raise BundleRefused(f"{bundle / NAME}: {fault}", hint=EXPORT_AGAIN)
    manifest = _manifest(data)
    for specs in (manifest.inputs, manifest.outputs):
        names = [spec.name for spec in specs]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise BundleRefused(
                f"{bundle / NAME}: two tensors are named {repeated!r}", hint=EXPORT_AGAIN
            )
    known = [spec.name for spec in manifest.outputs]
    unknown = next((name for name in manifest.task.outputs if name not in known), None)
    if unknown is not None:
        raise BundleRefused(
            f"{bundle / NAME}: the task reads {unknown!r}, which is no output", hint=EXPORT_AGAIN
        )
    return manifest


def _parsed(path: Path) -> Any:
    try:
        return json.loads(
            path.read_bytes().decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except FileNotFoundError:
        hint = "give the folder that kexport wrote"
        raise BundleRefused(
            f"{path.parent} has no {NAME}, so it is not a bundle", hint=hint
        ) from None
    except OSError as error:
        raise BundleRefused(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{path} is not valid JSON: {error}", hint=EXPORT_AGAIN) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


def _whole(digits: str) -> int:
    _finite(digits)
    return int(digits)


def _manifest(data: dict[str, Any]) -> Manifest:
    return Manifest(
        model=data["model"]["name"],
        target=data["target"]["name"],
        device=data["target"]["device"],
        inputs=tuple(input_spec(item) for item in data["inputs"]),
        outputs=tuple(_output(item) for item in data["outputs"]),
        tolerances={
            name: float(item["tolerance"]) for name, item in data["parity"]["outputs"].items()
        },
        files={
            name: FileEntry(item["sha256"], int(item["bytes"]))
            for name, item in data["files"].items()
        },
        data=data,
    )


def input_spec(item: Mapping[str, Any]) -> InputSpec:
    """Return the InputSpec for an entry of the manifest's `inputs`."""
    limits = item["range"]
    return InputSpec(
        name=item["name"],
        dtype=item["dtype"],
        shape=_shape(item["shape"]),
        layout=item["layout"],
        color=item["color"],
        range=None if limits is None else (float(limits[0]), float(limits[1])),
        resize=_resize(item.get("resize")),
    )


def _resize(entry: Mapping[str, Any] | None) -> Resize:
    return UNSTATED if entry is None else Resize(entry["method"], entry["fit"])


def _output(item: dict[str, Any]) -> OutputSpec:
    of = item["of"] if item["kind"] in manifest_schema.RANKED else {}
    return OutputSpec(
        name=item["name"],
        dtype=item["dtype"],
        shape=_shape(item["shape"]),
        kind=item["kind"],
        layer=item["layer"],
        of=of.get("kind"),
        classes=int(of["classes"]) if of else None,
    )


def _shape(sizes: list[float | None]) -> tuple[int | None, ...]:
    return tuple(None if size is None else int(size) for size in sizes)

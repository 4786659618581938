"""Read a bundle's manifest.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import manifest_schema
from .errors import BundleRefused

NAME = "manifest.json"
MODEL = "model.onnx"
GOLDEN = "golden.npz"

GRAPH = "graph:"
"""What stands before an output's name where golden.npz has what the quantised graph gives, each
node computed unfused in float32, and before the names of what is measured against that."""

_HALF_SCALES = 19

EXPORT_AGAIN = "export the model again, or copy the bundle again whole"
"""The hint for a bundle that is not as kexport wrote it."""


@dataclass(frozen=True)
class InputSpec:
    """One input: NumPy dtype name, and shape, batch first, with None for a free dimension.

    An image has a `color` (a key of `manifest_schema.COLORS`), the `layout` "NHWC" or "NCHW" and
    the `range` (0, 255); a plain tensor has None for all three.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    layout: str | None
    color: str | None
    range: tuple[float, float] | None

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width of the images that it takes, None where free."""
        _, *sizes = self.shape
        height, width = sizes[1:] if self.layout == "NCHW" else sizes[:2]
        if self.color == "NV12" and height is not None:
            height = height * 2 // 3
        return height, width


@dataclass(frozen=True)
class OutputSpec:
    """One output: what it means (`manifest_schema.KINDS`), and the Keras layer that it comes from.

    `of` and `classes` are those of `indices` and `scores`: whether they rank "probabilities" or
    "logits", and of how many classes; None for any other output.
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
    """What a file of the bundle must be: its SHA-256 and its size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The parts of manifest.json that running needs; `data` is the whole of it as parsed.

    `tolerances` maps each measured quantity to the largest spread error that parity allowed,
    `files` each path (relative, forward slashes) to what that file must be.
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
    def builds_engine(self) -> bool:
        """Whether what counts on the device is an engine that is built of model.onnx."""
        return self.data.get("build") is not None

    @property
    def holds_graph(self) -> bool:
        """Whether outputs are held to what the quantised graph gives, as well as to Keras."""
        return any(name.startswith(GRAPH) for name in self.tolerances)

    @property
    def references(self) -> tuple[str, ...]:
        """What stands before the names of the answers that outputs are held to.

        Nothing for Keras', and `GRAPH` where those of the quantised graph are there too.
        """
        return ("", GRAPH) if self.holds_graph else ("",)

    @property
    def half_scales(self) -> bool:
        """Whether it is INT8 with scales of float16, for TensorRT; opset 19 brought them.

        ONNX Runtime must leave its pairs as they are: with WeightBiasQuantization (1.31.1, at every
        level), which makes int32 of biases, MobileNetV2 falls from 33 dB to 2 dB.
        """
        target = self.data["target"]
        late = target["opset"] >= _HALF_SCALES
        return self.builds_engine and target["precision"] == "int8" and late

    @property
    def resizes(self) -> bool:
        """Whether the graph takes images of any size and resizes them itself."""
        return self.data["preprocessing"].get("resize") is not None


def read_manifest(bundle: Path) -> Manifest:
    """Read and check `<bundle>/manifest.json`; the other files are not looked at.

    Raises BundleRefused where there is no bundle, where the file is not JSON, has a schema number
    other than `manifest_schema.SCHEMA`, or departs from the contract: the first fault is named.
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
            f"and this runtime reads {manifest_schema.SCHEMA}",
            hint="use the runtime/ folder that lies in the bundle, or another version of kexport",
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
        raise BundleRefused(f"{path.parent} has no {NAME}, so it is no bundle", hint=hint) from None
    except OSError as error:
        raise BundleRefused(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{path} is not valid JSON: {error}", hint=EXPORT_AGAIN) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


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
        inputs=tuple(_input(item) for item in data["inputs"]),
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


def _input(item: dict[str, Any]) -> InputSpec:
    limits = item["range"]
    return InputSpec(
        name=item["name"],
        dtype=item["dtype"],
        shape=_shape(item["shape"]),
        layout=item["layout"],
        color=item["color"],
        range=None if limits is None else (float(limits[0]), float(limits[1])),
    )


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

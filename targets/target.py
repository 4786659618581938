"""What a device can run, read from the TOML file of that device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from kexport.targets.toml_table import read_table
from kexport.targets.toolchain import HALF_SCALES, TensorRT, ToolchainRelease

Engine = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
Precision = Literal["fp32", "fp16", "int8", "fp8"]

ENGINES: tuple[str, ...] = get_args(Engine)
PRECISIONS: tuple[str, ...] = get_args(Precision)

_TYPES: Mapping[str, type] = {
    "name": str,
    "description": str,
    "engine": str,
    "precisions": list,
    "providers": list,
    "hardware": list,
    "sm": str,
    "modules": list,
    "jetpacks": list,
    "tensorrts": list,
    "rtx_releases": list,
    "rtx_rules": str,
    "compute_capabilities": list,
    "opset": int,
    "blocked_layout": bool,
}
_OPTIONAL = (
    *("hardware", "sm", "modules", "jetpacks", "tensorrts", "opset", "blocked_layout"),
    *("rtx_releases", "rtx_rules", "compute_capabilities"),
)
_SELF_EVIDENT = ("name", "description", "engine")


@dataclass(frozen=True, slots=True)
class Module:
    """One board or module that goes by the device's name."""

    name: str
    memory_gb: int
    """Shared by CPU and GPU."""
    dla_cores: int
    """Deep-learning accelerators."""


@dataclass(frozen=True, slots=True)
class Device:
    """One TOML file: what a device is, and where each fact about it comes from."""

    name: str
    description: str
    engine: Engine
    precisions: tuple[Precision, ...]
    """Those that kexport writes."""
    providers: tuple[str, ...]
    hardware: tuple[Precision, ...] | None
    """Those that the device computes in; None where that differs from one to the next."""
    sm: str | None
    """CUDA's compute capability."""
    modules: tuple[Module, ...] | None
    jetpacks: tuple[str, ...] | None
    """The releases of JetPack that it can run, oldest first."""
    tensorrts: tuple[str, ...] | None
    """The rows of TensorRT that a device without a JetPack can run, oldest first."""
    rtx_releases: tuple[str, ...] | None
    """The releases of TensorRT-RTX that build for it ahead of time, oldest first."""
    rtx_rules: str | None
    """The row of TensorRT whose rules hold for those."""
    compute_capabilities: tuple[str, ...]
    """CUDA's, for which an engine is built ahead of time; none where the device builds it."""
    opset: int | None
    """What its engine reads; None where that follows from the toolchain."""
    blocked_layout: bool
    """Whether its engine runs convolutions in blocks of channels (NCHWc)."""
    source: Mapping[str, str]
    """Where each fact comes from; the keys are the names of the facts."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A device with a toolchain installed, and a precision where one was named."""

    device: Device
    toolchain: ToolchainRelease | None
    """None where any current release of the device's engine does."""
    precision: Precision | None


@dataclass(frozen=True, slots=True)
class Target:
    """A device in one precision, with its toolchain, opset and GPUs resolved.

    Passes and writers read this, and nothing else tells them what a device can do.
    """

    platform: Platform
    precision: Precision
    opset: int
    """The ONNX operator set to write."""
    compute_capabilities: tuple[str, ...]
    """CUDA's, for which an engine is built ahead of time; none where the device builds it."""

    @property
    def name(self) -> str:
        """`<device>-<precision>`, such as "trt-fp16"."""
        return f"{self.device}-{self.precision}"

    @property
    def device(self) -> str:
        """The name of the device."""
        return self.platform.device.name

    @property
    def engine(self) -> Engine:
        """The engine that the device runs the model with."""
        return self.platform.device.engine

    @property
    def providers(self) -> tuple[str, ...]:
        """ONNX Runtime's execution providers, first choice first."""
        return self.platform.device.providers

    @property
    def blocked_layout(self) -> bool:
        """Whether its engine runs convolutions in blocks of channels (NCHWc)."""
        return self.platform.device.blocked_layout

    @property
    def description(self) -> str:
        """The device in a few words."""
        return self.platform.device.description

    @property
    def toolchain(self) -> ToolchainRelease | None:
        """The toolchain that the graph must suit; None where any current one does."""
        return self.platform.toolchain

    @property
    def rules(self) -> TensorRT | None:
        """The rules of its TensorRT, if it has one."""
        return None if self.toolchain is None else self.toolchain.rules

    @property
    def operators(self) -> tuple[str, ...] | None:
        """The ONNX operators that the toolchain imports; None where nothing limits them."""
        return None if self.rules is None else self.rules.operators

    @property
    def uint8_input(self) -> bool:
        """Whether the graph may take uint8; if not, an image is float32 in 0..255."""
        return self.rules is None or self.rules.uint8_input

    @property
    def half_rest(self) -> bool:
        """Whether the part of an int8 graph that is not integers is float16.

        It is if the engine takes its types from the graph, and the scales may be float16.
        """
        halves = self.rules is not None and self.rules.half_scales
        return self.precision == "int8" and halves and self.opset >= HALF_SCALES


def read_device(text: str, name: str) -> Device:
    """Read the TOML `text` of the device called `name`.

    Raises ValueError if a key is missing, unknown, of the wrong type or without a source. The
    files are shipped with kexport, so that is an error of whoever edits them.
    """
    where = f"targets/{name}.toml"
    table = read_table(text, where, _TYPES, optional=_OPTIONAL, self_evident=_SELF_EVIDENT)
    if table["name"] != name:
        raise ValueError(f"{where}: the name {table['name']!r} is not the file's")
    _check_values(table, where)
    modules = table.get("modules")
    return Device(
        name=name,
        description=table["description"],
        engine=cast("Engine", table["engine"]),
        precisions=tuple(table["precisions"]),
        providers=tuple(table["providers"]),
        hardware=_tuple(table.get("hardware")),
        sm=table.get("sm"),
        modules=None if modules is None else tuple(Module(**module) for module in modules),
        jetpacks=_tuple(table.get("jetpacks")),
        tensorrts=_tuple(table.get("tensorrts")),
        rtx_releases=_tuple(table.get("rtx_releases")),
        rtx_rules=table.get("rtx_rules"),
        compute_capabilities=tuple(table.get("compute_capabilities", ())),
        opset=table.get("opset"),
        blocked_layout=table.get("blocked_layout", False),
        source=dict(table["source"]),
    )


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _check_values(table: Mapping[str, Any], where: str) -> None:
    if table["engine"] not in ENGINES:
        raise ValueError(f"{where}: unknown engine {table['engine']!r}")
    for key in ("precisions", "hardware"):
        values = table.get(key, table["precisions"])
        if not values or not set(values) <= set(PRECISIONS):
            raise ValueError(f"{where}: {key} must be some of {', '.join(PRECISIONS)}")
        if len(set(values)) < len(values):
            raise ValueError(f"{where}: a precision stands twice")
    if not set(table["precisions"]) <= set(table.get("hardware", table["precisions"])):
        raise ValueError(f"{where}: a precision is none of the hardware's")
    if not table["providers"] or not all(isinstance(name, str) for name in table["providers"]):
        raise ValueError(f"{where}: providers must be names")
    roads = ("jetpacks", "tensorrts", "rtx_releases", "opset")
    if sum(key in table for key in roads) != 1:
        raise ValueError(f"{where}: one of {', '.join(roads)} must stand there")
    ahead = [key in table for key in ("rtx_releases", "rtx_rules", "compute_capabilities")]
    if any(ahead) and not all(ahead):
        raise ValueError(f"{where}: rtx_releases, rtx_rules, compute_capabilities go together")

"""What a device can run, read from the TOML file of that device."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Engine = Literal["onnxruntime", "tensorrt"]
Precision = Literal["fp32", "fp16", "int8", "fp8"]

ENGINES: tuple[str, ...] = get_args(Engine)
PRECISIONS: tuple[str, ...] = get_args(Precision)

_TYPES: Mapping[str, type] = {
    "name": str,
    "description": str,
    "engine": str,
    "opset": int,
    "toolchain": str,
    "precisions": list,
    "providers": list,
    "source": dict,
}
_OPTIONAL = frozenset({"toolchain"})
_SELF_EVIDENT = frozenset({"name", "description", "engine", "source"})


@dataclass(frozen=True, slots=True)
class Target:
    """One device in one precision. Passes and emitters read this; nothing else decides."""

    name: str
    """`<device>-<precision>`, such as "trt-fp16"."""
    device: str
    precision: Precision
    engine: Engine
    """The engine that the device runs the model with."""
    opset: int
    """The ONNX operator set that the engine reads completely and correctly."""
    toolchain: str | None
    """The release that the graph must suit, or None where any current one does."""
    providers: tuple[str, ...]
    """ONNX Runtime's execution providers, first choice first."""
    description: str


@dataclass(frozen=True, slots=True)
class Device:
    """One TOML file: what a device is, and where each fact about it comes from."""

    name: str
    description: str
    engine: Engine
    opset: int
    toolchain: str | None
    precisions: tuple[Precision, ...]
    providers: tuple[str, ...]
    source: Mapping[str, str]
    """Where each fact comes from; the keys are the names of the facts."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """The device in each of its precisions, in the file's order."""
        return tuple(
            Target(
                name=f"{self.name}-{precision}",
                device=self.name,
                precision=precision,
                engine=self.engine,
                opset=self.opset,
                toolchain=self.toolchain,
                providers=self.providers,
                description=self.description,
            )
            for precision in self.precisions
        )


def read_device(text: str, name: str) -> Device:
    """Read the TOML `text` of the device called `name`.

    Raises ValueError if a key is missing, unknown, of the wrong type or without a source. The
    files are shipped with kexport, so that is an error of whoever edits them.
    """
    table = tomllib.loads(text)
    where = f"targets/{name}.toml"
    if unknown := sorted(table.keys() - _TYPES.keys()):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}")
    if missing := sorted(_TYPES.keys() - _OPTIONAL - table.keys()):
        raise ValueError(f"{where}: key {missing[0]!r} is missing")
    for key, value in table.items():
        if type(value) is not _TYPES[key]:
            raise ValueError(f"{where}: {key!r} is not of type {_TYPES[key].__name__}")
    if table["name"] != name:
        raise ValueError(f"{where}: the name {table['name']!r} is not the file's")
    _check_values(table, where)
    return Device(
        name=name,
        description=table["description"],
        engine=cast("Engine", table["engine"]),
        opset=table["opset"],
        toolchain=table.get("toolchain"),
        precisions=tuple(table["precisions"]),
        providers=tuple(table["providers"]),
        source=dict(table["source"]),
    )


def _check_values(table: Mapping[str, Any], where: str) -> None:
    if table["engine"] not in ENGINES:
        raise ValueError(f"{where}: unknown engine {table['engine']!r}")
    if not table["precisions"] or not set(table["precisions"]) <= set(PRECISIONS):
        raise ValueError(f"{where}: precisions must be some of {', '.join(PRECISIONS)}")
    if len(set(table["precisions"])) < len(table["precisions"]):
        raise ValueError(f"{where}: a precision stands twice")
    if not table["providers"] or not all(isinstance(name, str) for name in table["providers"]):
        raise ValueError(f"{where}: providers must be names")
    facts = table.keys() - _SELF_EVIDENT
    if facts != table["source"].keys():
        fact = sorted(facts ^ table["source"].keys())[0]
        raise ValueError(f"{where}: the fact {fact!r} and its source do not both stand there")

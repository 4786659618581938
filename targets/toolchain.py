"""The software on a device: a release of TensorRT and, on a Jetson, its JetPack."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from kexport.targets.toml_table import matches, read_table, release

Typing = Literal["weak", "either", "strong"]
TYPINGS: tuple[str, ...] = get_args(Typing)

HALF_SCALES = 19
"""The ONNX opset with which QuantizeLinear and DequantizeLinear take float16 scales."""


@dataclass(frozen=True, slots=True)
class TensorRT:
    """What the ONNX parser of some releases of TensorRT reads."""

    name: str
    """The first release with these rules."""
    releases: tuple[str, ...]
    opset: int
    """The ONNX opset that kexport writes for it, except with float16 scales."""
    opset_cap: int
    """The highest opset that the parser is documented to read."""
    typing: Typing
    """Whether types come from builder flags (weak), from the graph (strong), or from either."""
    operators: tuple[str, ...]
    """All ONNX operators that it imports, in alphabetical order; the file has the new ones."""
    types: tuple[str, ...]
    """Element types that a tensor may have; INT64 and DOUBLE are cast down where INT64 is not."""
    constant_inputs: tuple[str, ...]
    """Inputs that must be constants, as "TopK.K", by ONNX's names."""
    float32_arguments: tuple[str, ...]
    """Inputs whose constants it reads as float32 whatever their type, as "Clip.min"."""
    uint8_input: bool
    """Whether a network may take uint8."""
    axes_inputs: bool
    """Whether reductions read their axes from an input, as opset 18 has them."""
    zero_point_optional: bool
    """Whether QuantizeLinear and DequantizeLinear may leave the zero-point out."""
    half_weights: bool
    """Whether float16 initializers may be stored in the proto's integers, not only as raw data."""
    half_scales: bool
    """Whether an engine takes its types from a graph whose scales are float16, as opset 19 has
    them."""
    local_functions: bool
    dla: bool
    """Whether it drives the deep-learning accelerator of devices that have one."""
    source: Mapping[str, str]

    def opset_of(self, precision: str) -> int:
        """Return the ONNX opset that kexport writes for it in a precision."""
        halved = precision == "int8" and self.half_scales
        return max(self.opset, HALF_SCALES) if halved else self.opset


@dataclass(frozen=True, slots=True)
class JetPack:
    """One or more releases of JetPack with the same libraries. Versions are text."""

    name: str
    """The first release."""
    releases: tuple[str, ...]
    l4t: str
    tensorrt: str
    cuda: str
    cudnn: str
    python: str
    ubuntu: str
    sbsa_tensorrt: str | None
    """A newer TensorRT that can be installed on top, from `sbsa_release` on `sbsa_devices`."""
    sbsa_release: str | None
    sbsa_devices: tuple[str, ...] | None
    note: str
    """Problems that its users reported."""
    source: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ToolchainRelease:
    """One release of TensorRT, alone or in a JetPack."""

    tensorrt: str
    rules: TensorRT
    jetpack: str | None = None
    bundle: JetPack | None = None
    """The row of `jetpack`."""
    product: str = "TensorRT"
    """Or "TensorRT-RTX", which counts its releases by itself."""

    @property
    def release(self) -> tuple[int, ...]:
        """The release of TensorRT that it behaves like, as numbers."""
        return release(self.tensorrt if self.product == "TensorRT" else self.rules.name)

    def __str__(self) -> str:
        """Return it as in the manifest: "TensorRT 10.3.0, JetPack 6.2.1"."""
        name = f"{self.product} {self.tensorrt}"
        return name if self.jetpack is None else f"{name}, JetPack {self.jetpack}"


def read_tensorrt(text: str, name: str) -> TensorRT:
    """Read the TOML `text` of targets/tensorrt/`name`.toml; raises ValueError as `read_table`."""
    kinds = _kinds(TensorRT, opset=int, opset_cap=int)
    kinds |= dict.fromkeys(("operators", "types", "constant_inputs", "float32_arguments"), list)
    booleans = ("uint8_input", "axes_inputs", "zero_point_optional", "half_weights", "half_scales")
    kinds |= dict.fromkeys((*booleans, "local_functions", "dla"), bool)
    where = f"targets/tensorrt/{name}.toml"
    table = read_table(text, where, kinds, self_evident=("name",))
    _check_name(table, name, where)
    if table["typing"] not in TYPINGS:
        raise ValueError(f"{where}: unknown typing {table['typing']!r}")
    return TensorRT(**_frozen(table))


def read_jetpack(text: str, name: str) -> JetPack:
    """Read the TOML `text` of targets/jetpack/`name`.toml; raises ValueError as `read_table`."""
    where = f"targets/jetpack/{name}.toml"
    optional = ("sbsa_tensorrt", "sbsa_release", "sbsa_devices")
    kinds = _kinds(JetPack, sbsa_devices=list)
    table = read_table(text, where, kinds, optional=optional, self_evident=("name",))
    _check_name(table, name, where)
    return JetPack(**{**dict.fromkeys(optional), **_frozen(table)})


def _kinds(row: type[TensorRT] | type[JetPack], **others: type) -> dict[str, type]:
    """Return the type of each field: text, except for `releases` and `others`."""
    return {**{field.name: str for field in fields(row)}, "releases": list, **others}


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if type(value) is list else value for key, value in table.items()}


def _check_name(table: Mapping[str, Any], name: str, where: str) -> None:
    if table["name"] != name or not matches(name, table["releases"][0]):
        raise ValueError(f"{where}: the name {table['name']!r} is not the file's")

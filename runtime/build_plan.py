"""Engine builder: model.onnx to engine.plan with TensorRT 8 to 11, or TensorRT-RTX.

TensorRT-RTX has the same API. Before TensorRT 10, precisions are builder flags; from 10 on, the
engine takes its types from the graph (strongly typed), and in 11 there is no other way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .engine_record import Flags
from .errors import BadInput, BundleRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STRONG_FROM = 10
"""The first major release in which engines take their types from the graph."""

WEAK_OPSET = 17
"""The newest opset that TensorRT 8 reads correctly: in newer ones it ignores axes that are inputs,
and reads float16 scales as float32."""

RTX = "tensorrt_rtx"
_WORKSPACE_DIVISOR = {True: 4, False: 2}
"""Integrated GPU or not -> the workspace is the GPU's memory divided by this; an integrated GPU
shares its memory with the CPU."""


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build.

    `flags` are the engine's. `float32_layers` names the nodes that must stay float32 if the builder
    chooses the types. `compute_capabilities` are those that TensorRT-RTX builds for.
    """

    flags: Flags
    float32_layers: frozenset[str] = frozenset()
    compute_capabilities: Sequence[str] = ()


@dataclass(frozen=True)
class SerializedEngine:
    """A new engine: its bytes, the updated timing cache, and the builder's warnings.

    `on_gpu` names the layers that fall back to the GPU in a build for a deep-learning accelerator.
    """

    plan: bytes
    timing_cache: bytes
    warnings: tuple[str, ...]
    on_gpu: tuple[str, ...] = ()


@dataclass
class Log:
    """Messages that TensorRT logs; `details` has all of them, but only if `verbose` is set."""

    verbose: bool = False
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def attached(self, trt: Any) -> Any:
        """Return a logger for the module `trt` that writes to this log."""
        severities = trt.ILogger.Severity
        worst = (severities.INTERNAL_ERROR, severities.ERROR)

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self, log: Log) -> None:
                trt.ILogger.__init__(self)
                self._log = log

            def log(self, severity: Any, message: str) -> None:
                if severity in worst:
                    self._log.errors.append(message)
                elif severity == severities.WARNING:
                    self._log.warnings.append(message)
                if self._log.verbose:
                    self._log.details.append(message)

        return Logger(self)


def version_of(trt: Any) -> tuple[int, ...]:
    """Return the version of TensorRT as numbers; for TensorRT-RTX, the TensorRT that it matches."""
    if trt.__name__ == RTX:
        return (11,)
    return tuple(int(part) for part in trt.__version__.split(".") if part.isdigit())


def flags_for(trt: Any, precision: str, flags: Flags) -> Flags:
    """Return `flags` with the typing that this TensorRT needs for a graph of a precision.

    Up to TensorRT 10, builds for a deep-learning accelerator take precisions as flags.
    """
    major = version_of(trt)[0]
    flags = replace(flags, tf32=precision != "fp32")
    if major >= STRONG_FROM and (flags.dla_core is None or major > STRONG_FROM):
        return replace(flags, strongly_typed=True, fp16=False, int8=False)
    half = precision in ("fp16", "int8")
    return replace(flags, strongly_typed=False, fp16=half, int8=precision == "int8")


def check_opset(trt: Any, opset: int) -> None:
    """Raise BundleRefused for an opset that this TensorRT would silently misread."""
    if version_of(trt)[0] < STRONG_FROM and opset > WEAK_OPSET:
        raise BundleRefused(
            f"the graph has opset {opset}, but {trt.__name__} {trt.__version__} reads "
            f"{WEAK_OPSET} at most",
            hint=f"export it again with --tensorrt {'.'.join(trt.__version__.split('.')[:2])}",
        )


def workspace_for(memory: int, integrated: bool) -> int:
    """Return the builder's workspace limit in bytes on a GPU with `memory` bytes."""
    return memory // _WORKSPACE_DIVISOR[integrated]


def build_serialized_engine(
    trt: Any, model: Path, options: BuildOptions, log: Log, timing_cache: bytes = b""
) -> SerializedEngine:
    """Build an engine from an ONNX file; the builder's messages go to `log`.

    Raises BundleRefused, with the node and the reason, if the file cannot be parsed or the engine
    cannot be built, BadInput for a flag that this release does not have.
    """
    flags = options.flags
    logger = log.attached(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt, flags))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise BundleRefused(
            f"{trt.__name__} {trt.__version__} cannot read {model}: {_first(errors)}"
        )
    config = builder.create_builder_config()
    _configure(trt, config, flags)
    if options.compute_capabilities:
        _set_compute_capabilities(trt, config, options.compute_capabilities)
    if flags.profile:
        _add_profile(builder, config, flags.profile)
    if flags.fp16 and options.float32_layers:
        _keep_float32(trt, config, network, options.float32_layers)
    on_gpu = _use_dla(trt, builder, config, network, flags.dla_core)
    keeps_cache = trt.__name__ != RTX
    if keeps_cache:
        _set_timing_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = log.errors[-1] if log.errors else "the builder gave no reason"
        raise BundleRefused(f"{trt.__name__} {trt.__version__} cannot build {model}: {reason}")
    cache = bytes(config.get_timing_cache().serialize()) if keeps_cache else b""
    return SerializedEngine(bytes(plan), cache, tuple(dict.fromkeys(log.warnings)), on_gpu)


def _network_flags(trt: Any, flags: Flags) -> int:
    known = trt.NetworkDefinitionCreationFlag
    chosen = 0
    if flags.strongly_typed:
        chosen |= 1 << int(known.STRONGLY_TYPED)
    if version_of(trt)[0] < STRONG_FROM:
        chosen |= 1 << int(known.EXPLICIT_BATCH)
    return chosen


def _configure(trt: Any, config: Any, flags: Flags) -> None:
    if flags.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, flags.workspace)
    if flags.optimization_level is not None:
        _require(config, "builder_optimization_level", "--builder-optimization-level")
        config.builder_optimization_level = flags.optimization_level
    if not flags.tf32 and hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    for wanted, name in (
        (flags.fp16, "FP16"),
        (flags.int8, "INT8"),
        (flags.version_compatible, "VERSION_COMPATIBLE"),
    ):
        if wanted:
            _require(trt.BuilderFlag, name, f"--{name.lower().replace('_', '-')}")
            config.set_flag(getattr(trt.BuilderFlag, name))
    if flags.hardware_compatibility != "none":
        _require(config, "hardware_compatibility_level", "--hardware-compatibility-level")
        levels, name = trt.HardwareCompatibilityLevel, flags.hardware_compatibility.upper()
        _require(levels, name, f"--hardware-compatibility-level {flags.hardware_compatibility}")
        config.hardware_compatibility_level = getattr(levels, name)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED


def _require(where: Any, name: str, option: str) -> None:
    if not hasattr(where, name):
        raise BadInput(f"this TensorRT has no {name}", hint=f"leave out {option}")


def _set_compute_capabilities(trt: Any, config: Any, wanted: Sequence[str]) -> None:
    known = trt.ComputeCapability
    config.num_compute_capabilities = len(wanted)
    for index, name in enumerate(wanted):
        member = f"SM{name.replace('.', '')}"
        if not hasattr(known, member):
            listed = [name[2:] for name in dir(known) if name.startswith("SM")]
            shown = ", ".join(f"{number[:-1]}.{number[-1]}" for number in listed)
            raise BadInput(
                f"{trt.__name__} {trt.__version__} does not build for compute capability {name}",
                hint=f"choose from {shown}",
            )
        config.set_compute_capability(getattr(known, member), index)


def _add_profile(builder: Any, config: Any, shapes: dict[str, list[list[int]]]) -> None:
    profile = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in shapes.items():
        profile.set_shape(name, smallest, usual, largest)
    config.add_optimization_profile(profile)


def _keep_float32(trt: Any, config: Any, network: Any, names: frozenset[str]) -> None:
    """Constrain layers to float32 in a build whose FP16 flag lets the builder choose types."""
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.name in names:
            layer.precision = trt.float32
            for output in range(layer.num_outputs):
                layer.set_output_type(output, trt.float32)


def _use_dla(
    trt: Any, builder: Any, config: Any, network: Any, core: int | None
) -> tuple[str, ...]:
    """Assign the network to a deep-learning accelerator; return the layers that it cannot run."""
    if core is None:
        return ()
    if core >= builder.num_DLA_cores:
        raise BadInput(
            f"there is no deep-learning accelerator {core}: this GPU has {builder.num_DLA_cores}",
            hint="leave out --use-dla-core",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return tuple(layer.name for layer in layers if not config.can_run_on_DLA(layer))


def _set_timing_cache(config: Any, content: bytes) -> None:
    """Use the timing cache of an earlier build, or an empty one if a different GPU wrote it."""
    cache = config.create_timing_cache(content)
    if not config.set_timing_cache(cache, False) and content:
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _first(errors: Sequence[Any]) -> str:
    """Return the parser's first error that names a node; later ones are consequences of it.

    Before TensorRT 10, errors have a node's number instead of its name.
    """
    for error in errors:
        if not hasattr(error, "node_name"):
            return f"node {error.node()}: {error.desc()}"
        if error.node_name():
            return f"{error.node_name()} ({error.node_operator()}): {error.desc()}"
    return str(errors[0].desc()) if errors else "the parser gave no reason"

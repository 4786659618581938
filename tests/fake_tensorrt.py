"""Fakes of TensorRT and CUDA's driver, for machines with neither.

The GPU's memory is real memory, streams do nothing until they are waited for, and an address that
was not allocated is an error; so what forgets a copy or a wait gets wrong numbers here too. An
engine's plan is a marker followed by the ONNX file, and ONNX Runtime computes it. Names that a
release of TensorRT does not have are missing.
"""

from __future__ import annotations

import ctypes
import enum
import types
from typing import Any

import numpy as np
import onnx
import onnxruntime
from fake_cuda import FakeCuda

MARK = b"PLAN"


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        pass


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, Any, Any]] = {}

    def set_shape(self, name: str, smallest: Any, usual: Any, largest: Any) -> None:
        self.shapes[name] = (smallest, usual, largest)


class Layer:
    def __init__(self, name: str, op_type: str, outputs: int) -> None:
        self.name, self.type, self.num_outputs = name, op_type, outputs
        self.precision: Any = None
        self.output_types: dict[int, Any] = {}

    def set_output_type(self, index: int, dtype: Any) -> None:
        self.output_types[index] = dtype


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.onnx = b""
        self.layers: list[Layer] = []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content or b"timed on Orin"


class Config:
    __slots__ = (
        *("DLA_core", "builder_optimization_level", "cache", "cleared", "default_device_type"),
        *("flags",),
        *("hardware_compatibility_level", "pools", "profiles", "profiling_verbosity"),
    )

    def __init__(self) -> None:
        self.flags: list[Any] = []
        self.cleared: list[Any] = []
        self.pools: dict[Any, int] = {}
        self.profiles: list[Profile] = []
        self.builder_optimization_level = 3
        self.hardware_compatibility_level: Any = None
        self.cache: Cache | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.append(flag)

    def clear_flag(self, flag: Any) -> None:
        self.cleared.append(flag)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.pools[pool] = size

    def add_optimization_profile(self, profile: Profile) -> None:
        self.profiles.append(profile)

    def create_timing_cache(self, content: bytes) -> Cache:
        return Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        if cache.content not in (b"", b"timed on Orin"):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Cache | None:
        return self.cache

    def can_run_on_DLA(self, layer: Layer) -> bool:
        return layer.type in ("Conv", "Relu")


class Error:
    def __init__(self, node: str, operator: str, text: str) -> None:
        self.texts = node, operator, text

    def node_name(self) -> str:
        return self.texts[0]

    def node_operator(self) -> str:
        return self.texts[1]

    def desc(self) -> str:
        return self.texts[2]


class OldError:
    """As before TensorRT 10."""

    def __init__(self, node: str, operator: str, text: str) -> None:
        self._text = text

    def node(self) -> int:
        return 3

    def desc(self) -> str:
        return self._text


class OnnxParser:
    _kind: type[Error] | type[OldError] = Error

    def __init__(self, network: Network, logger: Any) -> None:
        self.network, self.errors = network, []

    def parse_from_file(self, path: str) -> bool:
        model = onnx.load(path)
        self.network.onnx = model.SerializeToString()
        for node in model.graph.node:
            if node.op_type == "Softmax" and node.name == "refused":
                texts = [("", "", "In parse"), (node.name, node.op_type, "not supported")]
                self.errors = [self._kind(*one) for one in texts[self._kind is OldError :]]
                return False
            self.network.layers.append(Layer(node.name, node.op_type, len(node.output)))
        return True

    @property
    def num_errors(self) -> int:
        return len(self.errors)

    def get_error(self, index: int) -> Error:
        return self.errors[index]


class Builder:
    last: Builder | None = None
    """The one that built last, for tests to look at."""

    def __init__(self, logger: Any) -> None:
        self.logger, self.num_DLA_cores = logger, 2
        self.fails = False
        Builder.last = self

    def create_network(self, flags: int) -> Network:
        self.network = Network(flags)
        return self.network

    def create_builder_config(self) -> Config:
        self.config = Config()
        return self.config

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        self.logger.log(Severity.WARNING, "a tactic was skipped")
        if config.pools and min(config.pools.values()) < 1 << 20:
            self.logger.log(Severity.ERROR, "could not find any implementation for node top")
            return None
        return MARK + network.onnx


class DataType(enum.Enum):
    FLOAT = "float32"
    UINT8 = "uint8"


class Modes(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class Engine:
    def __init__(self, cuda: FakeCuda, model: bytes) -> None:
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._cuda = cuda
        self._inputs = {entry.name: entry for entry in self._session.get_inputs()}
        self._outputs = {entry.name: entry for entry in self._session.get_outputs()}
        self._names = [*self._inputs, *self._outputs]
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> Modes:
        return Modes.INPUT if name in self._inputs else Modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[{**self._inputs, **self._outputs}[name].type[7:-1].upper()]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        sizes = {**self._inputs, **self._outputs}[name].shape
        return tuple(size if isinstance(size, int) else -1 for size in sizes)

    def _answers(self, feeds: dict[str, Any]) -> list[Any]:
        return self._session.run(None, feeds)

    def create_execution_context(self) -> IExecutionContext:
        return IExecutionContext(self, self._cuda)


class IExecutionContext:
    def __init__(self, engine: Engine, cuda: FakeCuda) -> None:
        self._engine, self._cuda = engine, cuda
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        declared = self._engine.get_tensor_shape(name)
        fits = all(size in (-1, given) for size, given in zip(declared, shape, strict=True))
        if fits and shape[0] <= 32:
            self._shapes[name] = shape
            return True
        return False

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._shapes:
            return self._shapes[name]
        batch = next(iter(self._shapes.values()))[0]
        return tuple(batch if size == -1 else size for size in self._engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        shapes = {name: self.get_tensor_shape(name) for name in self._addresses}
        addresses = dict(self._addresses)
        if not set(addresses.values()) <= set(self._cuda.device):
            return False
        self._cuda.put(stream, lambda: self._compute(addresses, shapes))
        return True

    def _compute(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        engine = self._engine
        views = {}
        for name, address in addresses.items():
            dtype = np.dtype(engine.get_tensor_dtype(name).value)
            size = int(np.prod(shapes[name])) * dtype.itemsize
            memory = (ctypes.c_uint8 * size).from_address(address)
            views[name] = np.frombuffer(memory, dtype).reshape(shapes[name])
        feeds = {name: views[name].copy() for name in engine._inputs}
        for name, value in zip(engine._outputs, engine._answers(feeds), strict=True):
            if name in views:
                views[name][...] = value


def module(version: str = "10.3.0", cuda: FakeCuda | None = None) -> types.ModuleType:
    """Return a fake module `tensorrt` of a release, whose engines run on `cuda`."""
    made: Any = types.ModuleType("tensorrt")
    major, minor = (int(part) for part in version.split(".")[:2])
    gpu = cuda or FakeCuda()

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger, self.DLA_core, self.engine_host_code_allowed = logger, -1, False

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            if not plan.startswith(MARK):
                self.logger.log(Severity.ERROR, "magicTag does not match")
                return None
            return Engine(gpu, plan[len(MARK) :])

    made.__version__ = version
    made.ILogger, made.Builder = ILogger, Builder
    kind = OldError if major < 10 else Error
    made.OnnxParser = type("OnnxParser", (OnnxParser,), {"_kind": kind})
    made.Runtime, made.TensorIOMode, made.float32 = Runtime, Modes, "float32"
    made.IExecutionContext = IExecutionContext if (major, minor) >= (8, 5) else object
    networks = ["EXPLICIT_BATCH"] if major < 10 else ["EXPLICIT_BATCH", "STRONGLY_TYPED"]
    made.NetworkDefinitionCreationFlag = enum.IntEnum(
        "NetworkDefinitionCreationFlag", networks[major // 11 :], start=0
    )
    levels = ["NONE", "AMPERE_PLUS", *(["SAME_COMPUTE_CAPABILITY"] if major >= 11 else [])]
    flags = ["GPU_FALLBACK", "TF32", *(["VERSION_COMPATIBLE"] if (major, minor) >= (8, 6) else [])]
    weak = [] if major >= 11 else ["FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"]
    made.BuilderFlag = enum.Enum("BuilderFlag", [*flags, *weak])
    made.MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
    made.ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["DETAILED"])
    made.DeviceType = enum.Enum("DeviceType", ["GPU", "DLA"])
    made.HardwareCompatibilityLevel = enum.Enum("HardwareCompatibilityLevel", levels)
    return made


def for_tensorrt(data: Any) -> None:
    """Make the manifest `data` that of a bundle whose engine TensorRT builds."""
    about = {"name": "trt-fp16", "device": "trt", "precision": "fp16", "toolchain": "TensorRT 10"}
    data["target"].update(about, opset=17)
    data["build"] = {
        "builder": "tensorrt",
        "program": "build_engine.py",
        "version": "10.3.0",
        "float32_layers": ["kept"],
        "compute_capabilities": [],
    }

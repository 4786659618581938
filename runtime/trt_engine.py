"""TensorRT engine: runs a bundle's engine.plan with TensorRT or TensorRT-RTX."""

from __future__ import annotations

import ctypes
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from . import engine_record
from .build_plan import Log
from .engine_record import BUILD_AGAIN, PLAN
from .errors import BadInput, BundleRefused, EngineMissing, RuntimeFault
from .gpu import Cuda
from .inputs import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .manifest import InputSpec, Manifest, OutputSpec

_BY_NAME = "execute_async_v3"
"""Method that TensorRT has since 8.5, which identifies tensors by name and not by number."""


class TrtEngine:
    """engine.plan on the first GPU.

    `name` names library and GPU, for example "tensorrt 10.3.0, Orin". Calls from several threads
    run one after another.
    """

    def __init__(
        self, bundle: Path, manifest: Manifest, *, trt: Any = None, cuda: Cuda | None = None
    ) -> None:
        """Load `<bundle>/engine.plan`.

        Tests replace the module and the GPU by `trt` and `cuda`. Raises EngineMissing without
        TensorRT 8.5 or newer or without a GPU, BundleRefused if the engine is missing, was built
        from another model, by another TensorRT or for another GPU, or if its inputs and outputs
        differ from the manifest's.
        """
        record, plan = engine_record.read_record(bundle), bundle / PLAN
        module = record.environment.module
        trt = trt or module_of(module)
        self._cuda = cuda or Cuda()
        here = engine_record.environment_here(module, trt.__version__, self._cuda.gpu)
        fault = record.fault(engine_record.hash_of_model(bundle), here)
        if fault is not None:
            raise BundleRefused(f"{plan} cannot run here: {fault}", hint=BUILD_AGAIN)
        self._log = Log()
        self._runtime = _runtime(trt, self._log, record)
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise BundleRefused(
                f"{module} {trt.__version__} cannot load {plan}: {_reason(self._log)}",
                hint=BUILD_AGAIN,
            )
        self._inputs, self._outputs = _names(trt, self._engine)
        _check_tensors(self._engine, "input", self._inputs, manifest.inputs)
        _check_tensors(self._engine, "output", self._outputs, manifest.outputs)
        self._wanted = [spec.name for spec in manifest.outputs]
        self._types = {
            name: _dtype(self._engine.get_tensor_dtype(name))
            for name in (*self._inputs, *self._outputs)
        }
        self._context = self._engine.create_execution_context()
        self._stream = self._cuda.stream()
        self._buffers: dict[str, Buffer] = {}
        self._lock = threading.Lock()
        self.name = f"{module} {trt.__version__}, {here.gpu}"

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model and return the outputs by name, on the CPU.

        Raises BadInput if the engine does not accept arrays of these sizes.
        """
        with self._lock:
            self._cuda.use()
            for name, array in feeds.items():
                self._buffer(name, array.shape).write(array, self._stream)
            shapes = self._output_shapes({name: array.shape for name, array in feeds.items()})
            outputs = {name: self._buffer(name, shape) for name, shape in shapes.items()}
            self._enqueue({name: self._buffers[name].device for name in (*feeds, *outputs)})
            for name in self._wanted:
                outputs[name].read(shapes[name], self._stream)
            self._cuda.wait(self._stream)
            return {name: outputs[name].array(shapes[name]) for name in self._wanted}

    def close(self) -> None:
        """Free the buffers and the stream."""
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
        if self._stream:
            self._cuda.close(self._stream)
            self._stream = 0

    def __del__(self) -> None:
        if "_lock" in self.__dict__:
            with suppress(RuntimeFault):
                self.close()

    def _output_shapes(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, tuple(shape)):
                raise self._refused(shapes)
        return {name: tuple(self._context.get_tensor_shape(name)) for name in self._outputs}

    def _enqueue(self, addresses: Mapping[str, int]) -> None:
        for name in (*self._inputs, *self._outputs):
            self._context.set_tensor_address(name, addresses[name])
        if not self._context.execute_async_v3(self._stream):
            raise self._refused({name: self._context.get_tensor_shape(name) for name in addresses})

    def _refused(self, shapes: Mapping[str, Sequence[int]]) -> BadInput:
        given = ", ".join(
            described(self._types[name], tuple(shapes[name])) for name in self._inputs
        )
        return BadInput(
            f"{self.name} failed on {given}: {_reason(self._log)}",
            hint="build with --min-shapes and --max-shapes that include these sizes",
        )

    def _buffer(self, name: str, shape: Sequence[int]) -> Buffer:
        """Return the buffer of a tensor, which is reused from run to run unless it is too small."""
        size = int(np.prod(shape)) * self._types[name].itemsize
        known = self._buffers.get(name)
        if known is None or known.size < size:
            if known is not None:
                known.free()
            known = self._buffers[name] = Buffer.of(self._cuda, self._types[name], size)
        return known


@dataclass(frozen=True)
class Buffer:
    """The memory of a tensor: `device` on the GPU, `host` pinned on the CPU, `size` bytes each."""

    cuda: Cuda
    dtype: np.dtype[Any]
    size: int
    device: int
    host: int

    @classmethod
    def of(cls, cuda: Cuda, dtype: np.dtype[Any], size: int) -> Buffer:
        """Allocate a buffer on the GPU and the CPU."""
        return cls(cuda, dtype, size, cuda.device_memory(size), cuda.pinned_memory(size))

    def write(self, array: NDArray[Any], stream: int) -> None:
        """Copy an array into pinned memory, and queue its copy to the GPU on the stream."""
        self._view(array.shape)[...] = array
        self.cuda.to_device(self.device, self.host, array.nbytes, stream)

    def read(self, shape: Sequence[int], stream: int) -> None:
        """Queue the copy from the GPU to pinned memory on the stream."""
        size = int(np.prod(shape)) * self.dtype.itemsize
        self.cuda.to_host(self.host, self.device, size, stream)

    def array(self, shape: Sequence[int]) -> NDArray[Any]:
        """Return a copy of the pinned memory as an array."""
        return self._view(shape).copy()

    def free(self) -> None:
        """Free the memory on the GPU and the CPU."""
        self.cuda.free_device(self.device)
        self.cuda.free_pinned(self.host)

    def _view(self, shape: Sequence[int]) -> NDArray[Any]:
        size = int(np.prod(shape)) * self.dtype.itemsize
        memory = (ctypes.c_uint8 * size).from_address(self.host)
        return np.ctypeslib.as_array(memory).view(self.dtype).reshape(shape)


def module_of(name: str) -> Any:
    """Import TensorRT by the module's name; raises EngineMissing if it is missing or too old."""
    try:
        trt = import_module(name)
    except ImportError as error:
        raise EngineMissing(
            f"{name} is needed to run {PLAN}: {error}",
            hint=f"run: pip install {name.replace('_', '-')}, or on a Jetson use JetPack's Python",
        ) from error
    if not hasattr(trt.IExecutionContext, _BY_NAME):
        raise EngineMissing(
            f"{name} {trt.__version__} is too old: kexport's runtime needs 8.5 or newer",
            hint="use JetPack 5.1 or newer, or run the engine with trtexec or your own program",
        )
    return trt


def _reason(log: Log) -> str:
    return log.errors[-1] if log.errors else "it gives no reason"


def _runtime(trt: Any, log: Log, record: engine_record.EngineRecord) -> Any:
    runtime = trt.Runtime(log.attached(trt))
    if record.flags.dla_core is not None:
        runtime.DLA_core = record.flags.dla_core
    if record.flags.version_compatible:
        runtime.engine_host_code_allowed = True
    return runtime


def _dtype(kind: Any) -> np.dtype[Any]:
    """Convert one of TensorRT's types to NumPy's; trt.nptype() fails with some NumPy releases."""
    floats = {"FLOAT": "float32", "HALF": "float16"}
    name: str = floats.get(kind.name, kind.name.lower())
    return np.dtype(name)


def _names(trt: Any, found: Any) -> tuple[list[str], list[str]]:
    """Return the names of an engine's inputs and outputs."""
    names = [found.get_tensor_name(index) for index in range(found.num_io_tensors)]
    inputs = [name for name in names if found.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    return inputs, [name for name in names if name not in inputs]


def _check_tensors(
    found: Any,
    role: str,
    names: Sequence[str],
    specs: Sequence[InputSpec] | Sequence[OutputSpec],
) -> None:
    extra = [name for name in names if name not in {spec.name for spec in specs}]
    if role == "input" and extra:
        raise BundleRefused(
            f"{PLAN} has an input {extra[0]!r} that the manifest does not list",
            hint=BUILD_AGAIN,
        )
    for spec in specs:
        _check_tensor(found, role, names, spec)


def _check_tensor(
    found: Any, role: str, names: Sequence[str], spec: InputSpec | OutputSpec
) -> None:
    if spec.name not in names:
        raise BundleRefused(
            f"{PLAN} has no {role} {spec.name!r}, which the manifest lists",
            hint=BUILD_AGAIN,
        )
    dtype = _dtype(found.get_tensor_dtype(spec.name))
    shape = [None if size < 0 else size for size in found.get_tensor_shape(spec.name)]
    same = len(shape) == len(spec.shape) and all(
        size is None or wanted is None or size == wanted for size, wanted in zip(shape, spec.shape)
    )
    if dtype != np.dtype(spec.dtype) or not same:
        raise BundleRefused(
            f"{role} {spec.name!r} of {PLAN} is {described(dtype, shape)}, and the manifest "
            f"says {described(spec.dtype, spec.shape)}",
            hint=BUILD_AGAIN,
        )

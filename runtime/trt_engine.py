"""Run a bundle's engine.plan with TensorRT or TensorRT-RTX, through CUDA's driver library."""

from __future__ import annotations

import ctypes
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from . import engine_record as files
from .build_plan import Log
from .errors import BadInput, BundleRefused, EngineMissing, RuntimeFault
from .gpu import Cuda
from .inputs import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .manifest import InputSpec, Manifest, OutputSpec

_BY_NAME = "execute_async_v3"
"""What TensorRT 8.5 brought: tensors by name. Before, they have numbers."""


class TrtEngine:
    """engine.plan on the first GPU.

    `name` says what runs it, for example "tensorrt 10.3.0, Orin". Calls from several threads wait
    for each other.
    """

    def __init__(
        self, bundle: Path, manifest: Manifest, *, trt: Any = None, cuda: Cuda | None = None
    ) -> None:
        """Load `<bundle>/engine.plan`.

        `trt` and `cuda` stand for the module and the GPU in tests. Raises EngineMissing without
        TensorRT 8.5 or newer or without a GPU, BundleRefused where the engine is missing, was built
        from another model, by another TensorRT or for another GPU, or has not the manifest's
        inputs and outputs.
        """
        record = files.read(bundle)
        trt = trt or module_of(record.place.module)
        self._cuda = cuda or Cuda()
        here = files.here(record.place.module, trt.__version__, self._cuda.gpu)
        fault = record.fault(files.hash_of_model(bundle), here)
        if fault is not None:
            raise BundleRefused(
                f"{bundle / files.PLAN} is not run: {fault}", hint=files.BUILD_AGAIN
            )
        self._log = Log()
        self._runtime = _runtime(trt, self._log, record)
        self._engine = self._runtime.deserialize_cuda_engine((bundle / files.PLAN).read_bytes())
        if self._engine is None:
            reason = self._log.errors[-1] if self._log.errors else "it gives no reason"
            raise BundleRefused(
                f"{record.place.module} {trt.__version__} refuses {bundle / files.PLAN}: {reason}",
                hint=files.BUILD_AGAIN,
            )
        self._inputs, self._outputs = _names(trt, self._engine)
        _check(self._engine, "input", self._inputs, manifest.inputs)
        _check(self._engine, "output", self._outputs, manifest.outputs)
        self._wanted = [spec.name for spec in manifest.outputs]
        self._types = {
            name: _dtype(self._engine.get_tensor_dtype(name))
            for name in (*self._inputs, *self._outputs)
        }
        self._context = self._engine.create_execution_context()
        self._stream = self._cuda.stream()
        self._buffers: dict[str, Buffer] = {}
        self._lock = threading.Lock()
        self.name = f"{record.place.module} {trt.__version__}, {here.gpu}"

    def run(
        self, feeds: Mapping[str, NDArray[Any]], stream: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the outputs by name, on the CPU.

        `stream` is a CUDA stream of the caller's, as a number; it is waited for. Raises BadInput
        where the engine takes no arrays of these sizes.
        """
        with self._lock:
            self._cuda.use()
            chosen = self._stream if stream is None else stream
            shapes = {name: array.shape for name, array in feeds.items()}
            for name, array in feeds.items():
                self._buffer(name, array.shape).write(array, chosen)
            given = self._shapes(shapes)
            found = {name: self._buffer(name, shape) for name, shape in given.items()}
            addresses = {name: self._buffers[name].device for name in (*feeds, *found)}
            self._start(addresses, chosen)
            for name in self._wanted:
                found[name].read(given[name], chosen)
            self._cuda.wait(chosen)
            return {name: found[name].array(given[name]) for name in self._wanted}

    def enqueue(
        self, addresses: Mapping[str, int], shapes: Mapping[str, Sequence[int]], stream: int
    ) -> dict[str, tuple[int, ...]]:
        """Put one run on the caller's stream and return the outputs' shapes; nothing is waited for.

        `addresses` are those of every input and output on the GPU, `shapes` those of the inputs.
        Raises BadInput where the engine does not take them.
        """
        for name in (*self._inputs, *self._outputs):
            if name not in addresses:
                raise BadInput(f"no address for {name!r}", hint="give one for every tensor")
        with self._lock:
            self._cuda.use()
            given = self._shapes(shapes)
            self._start(addresses, stream)
            return given

    def close(self) -> None:
        """Give back what was allocated."""
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

    def _shapes(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, tuple(shape)):
                raise self._refused(shapes)
        return {name: tuple(self._context.get_tensor_shape(name)) for name in self._outputs}

    def _start(self, addresses: Mapping[str, int], stream: int) -> None:
        for name in (*self._inputs, *self._outputs):
            self._context.set_tensor_address(name, addresses[name])
        if not self._context.execute_async_v3(stream):
            raise self._refused({name: self._context.get_tensor_shape(name) for name in addresses})

    def _refused(self, shapes: Mapping[str, Sequence[int]]) -> BadInput:
        given = ", ".join(
            described(self._types[name], tuple(shapes[name])) for name in self._inputs
        )
        reason = self._log.errors[-1] if self._log.errors else "it gives no reason"
        return BadInput(
            f"{self.name} failed on {given}: {reason}",
            hint="build with --min-shapes and --max-shapes that hold these sizes",
        )

    def _buffer(self, name: str, shape: Sequence[int]) -> Buffer:
        """Memory for a tensor, on both sides; it grows and stays."""
        size = int(np.prod(shape)) * self._types[name].itemsize
        known = self._buffers.get(name)
        if known is None or known.size < size:
            if known is not None:
                known.free()
            known = self._buffers[name] = Buffer.of(self._cuda, self._types[name], size)
        return known


@dataclass(frozen=True)
class Buffer:
    """One tensor's memory: `device` on the GPU and `host` pinned on the CPU, `size` bytes each."""

    cuda: Cuda
    dtype: np.dtype[Any]
    size: int
    device: int
    host: int

    @classmethod
    def of(cls, cuda: Cuda, dtype: np.dtype[Any], size: int) -> Buffer:
        """Allocate both sides."""
        return cls(cuda, dtype, size, cuda.device_memory(size), cuda.pinned_memory(size))

    def write(self, array: NDArray[Any], stream: int) -> None:
        """Copy an array into pinned memory now, and to the GPU on the stream."""
        self._view(array.shape)[...] = array
        self.cuda.to_device(self.device, self.host, array.nbytes, stream)

    def read(self, shape: Sequence[int], stream: int) -> None:
        """Put the copy to pinned memory on the stream."""
        size = int(np.prod(shape)) * self.dtype.itemsize
        self.cuda.to_host(self.host, self.device, size, stream)

    def array(self, shape: Sequence[int]) -> NDArray[Any]:
        """What was read, as an array of its own."""
        return self._view(shape).copy()

    def free(self) -> None:
        """Give both sides back."""
        self.cuda.free_device(self.device)
        self.cuda.free_pinned(self.host)

    def _view(self, shape: Sequence[int]) -> NDArray[Any]:
        size = int(np.prod(shape)) * self.dtype.itemsize
        memory = (ctypes.c_uint8 * size).from_address(self.host)
        return np.ctypeslib.as_array(memory).view(self.dtype).reshape(shape)


def module_of(name: str) -> Any:
    """Import TensorRT under either name; raises EngineMissing where it is missing or too old."""
    try:
        trt = import_module(name)
    except ImportError as error:
        raise EngineMissing(
            f"{name} is needed to run {files.PLAN}: {error}",
            hint=f"run: pip install {name.replace('_', '-')}, or on a Jetson use JetPack's Python",
        ) from error
    if not hasattr(trt.IExecutionContext, _BY_NAME):
        raise EngineMissing(
            f"{name} {trt.__version__} is older than 8.5, from which on tensors have names",
            hint="run it with trtexec or a program of your own, or use JetPack 5.1 or newer",
        )
    return trt


def _runtime(trt: Any, log: Log, record: files.Record) -> Any:
    runtime = trt.Runtime(log.attached(trt))
    if record.flags.dla_core is not None:
        runtime.DLA_core = record.flags.dla_core
    if record.flags.version_compatible:
        runtime.engine_host_code_allowed = True
    return runtime


def _dtype(kind: Any) -> np.dtype[Any]:
    """NumPy's type for one of TensorRT's; its own nptype() fails with some releases of NumPy."""
    floats = {"FLOAT": "float32", "HALF": "float16"}
    name: str = floats.get(kind.name, kind.name.lower())
    return np.dtype(name)


def _names(trt: Any, found: Any) -> tuple[list[str], list[str]]:
    """The names of an engine's inputs and outputs."""
    names = [found.get_tensor_name(index) for index in range(found.num_io_tensors)]
    inputs = [name for name in names if found.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    return inputs, [name for name in names if name not in inputs]


def _check(
    found: Any,
    role: str,
    names: Sequence[str],
    specs: Sequence[InputSpec] | Sequence[OutputSpec],
) -> None:
    extra = [name for name in names if name not in {spec.name for spec in specs}]
    if role == "input" and extra:
        raise BundleRefused(
            f"{files.PLAN} has an input {extra[0]!r} that the manifest does not list",
            hint=files.BUILD_AGAIN,
        )
    for spec in specs:
        _check_tensor(found, role, names, spec)


def _check_tensor(
    found: Any, role: str, names: Sequence[str], spec: InputSpec | OutputSpec
) -> None:
    if spec.name not in names:
        raise BundleRefused(
            f"{files.PLAN} has no {role} {spec.name!r}, which the manifest lists",
            hint=files.BUILD_AGAIN,
        )
    dtype = _dtype(found.get_tensor_dtype(spec.name))
    shape = [None if size < 0 else size for size in found.get_tensor_shape(spec.name)]
    same = len(shape) == len(spec.shape) and all(
        size is None or wanted is None or size == wanted for size, wanted in zip(shape, spec.shape)
    )
    if dtype != np.dtype(spec.dtype) or not same:
        raise BundleRefused(
            f"{role} {spec.name!r} of {files.PLAN} is {described(dtype, shape)}, and the manifest "
            f"says {described(spec.dtype, spec.shape)}",
            hint=files.BUILD_AGAIN,
        )

"""GPU access through CUDA's driver library, which every machine with an NVIDIA driver has.

`libcuda.so.1` keeps its name and its functions from one CUDA release to the next, so neither
cuda-python nor a matching libcudart is needed. Signatures are those of cuda.h.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_char, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

from .errors import EngineMissing, RuntimeFault

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MAJOR, _MINOR, _INTEGRATED = 75, 76, 18
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR, CU_DEVICE_ATTRIBUTE_INTEGRATED."""

HINT = "run this on the device, where the NVIDIA driver is"


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, compute capability such as "8.7", and memory in bytes.

    `integrated` means that GPU and CPU share the memory, as on a Jetson.
    """

    name: str
    compute_capability: str
    memory: int
    integrated: bool


class Cuda:
    """The driver calls that running an engine needs, on the first GPU.

    Addresses are integers; sizes are in bytes. Every method raises RuntimeFault if its call fails.
    """

    def __init__(self, library: Any = None) -> None:
        """Make the first GPU current for this thread; tests replace libcuda by `library`.

        Raises EngineMissing without a driver or a GPU.
        """
        self._library = _loaded() if library is None else library
        try:
            self._call("cuInit", 0)
            device = c_int()
            self._call("cuDeviceGet", ctypes.byref(device), 0)
        except RuntimeFault as fault:
            raise EngineMissing(f"there is no NVIDIA GPU to run on: {fault}", hint=HINT) from fault
        self._device = device.value
        self._context = c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self.use()

    @property
    def gpu(self) -> Gpu:
        """The GPU's properties."""
        name = (c_char * 256)()
        memory = c_size_t()
        self._call("cuDeviceGetName", name, 256, self._device)
        self._call("cuDeviceTotalMem_v2", ctypes.byref(memory), self._device)
        major, minor = self._attribute(_MAJOR), self._attribute(_MINOR)
        return Gpu(
            name.value.decode("utf-8", "replace"),
            f"{major}.{minor}",
            memory.value,
            bool(self._attribute(_INTEGRATED)),
        )

    def use(self) -> None:
        """Make the GPU current for the calling thread."""
        self._call("cuCtxSetCurrent", self._context)

    def stream(self) -> int:
        """Create a stream that does not synchronise with the default stream."""
        stream = c_void_p()
        self._call("cuStreamCreate", ctypes.byref(stream), 1)
        return int(stream.value or 0)

    def wait(self, stream: int) -> None:
        """Wait until all work queued on a stream is done."""
        self._call("cuStreamSynchronize", c_void_p(stream))

    def close(self, stream: int) -> None:
        """Destroy a stream."""
        self._call("cuStreamDestroy_v2", c_void_p(stream))

    def device_memory(self, size: int) -> int:
        """Allocate memory on the GPU."""
        address = c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), c_size_t(size))
        return address.value

    def free_device(self, address: int) -> None:
        """Free memory from `device_memory`."""
        self._call("cuMemFree_v2", c_uint64(address))

    def pinned_memory(self, size: int) -> int:
        """Allocate page-locked memory on the CPU, which the GPU copies to and from directly."""
        address = c_void_p()
        self._call("cuMemHostAlloc", ctypes.byref(address), c_size_t(size), 0)
        return int(address.value or 0)

    def free_pinned(self, address: int) -> None:
        """Free memory from `pinned_memory`."""
        self._call("cuMemFreeHost", c_void_p(address))

    def to_device(self, device: int, host: int, size: int, stream: int) -> None:
        """Queue a copy to the GPU on a stream."""
        call = "cuMemcpyHtoDAsync_v2"
        self._call(call, c_uint64(device), c_void_p(host), c_size_t(size), c_void_p(stream))

    def to_host(self, host: int, device: int, size: int, stream: int) -> None:
        """Queue a copy from the GPU on a stream."""
        call = "cuMemcpyDtoHAsync_v2"
        self._call(call, c_void_p(host), c_uint64(device), c_size_t(size), c_void_p(stream))

    def _attribute(self, number: int) -> int:
        value = c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            text = c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            reason = (text.value or b"unknown error").decode("utf-8", "replace")
            raise RuntimeFault(f"{name} failed with {status}: {reason}")


def _loaded() -> Any:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise EngineMissing(f"the NVIDIA driver does not load: {error}", hint=HINT) from error

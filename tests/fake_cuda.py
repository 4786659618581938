"""A fake of CUDA's driver: real memory, asynchronous streams, and checked addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

INVALID = 1


class FakeCuda:
    """The functions of libcuda that kexport calls."""

    def __init__(self, name: str = "Orin", capability: tuple[int, int] = (8, 7), gpus: int = 1):
        self.name, self.capability, self.gpus = name, capability, gpus
        self.device: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {0: []}

    def cuInit(self, flags: int) -> int:
        return 0 if self.gpus else 100

    def cuGetErrorString(self, status: int, text: Any) -> int:
        text._obj.value = b"no CUDA-capable device is detected" if status == 100 else b"invalid"
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = index
        return 0

    def cuDevicePrimaryCtxRetain(self, context: Any, device: int) -> int:
        context._obj.value = 7
        return 0

    def cuCtxSetCurrent(self, context: Any) -> int:
        return 0 if context.value == 7 else INVALID

    def cuDeviceGetName(self, name: Any, size: int, device: int) -> int:
        name.value = self.name.encode()
        return 0

    def cuDeviceTotalMem_v2(self, size: Any, device: int) -> int:
        size._obj.value = 8 << 30
        return 0

    def cuDeviceGetAttribute(self, value: Any, number: int, device: int) -> int:
        value._obj.value = {75: self.capability[0], 76: self.capability[1], 18: 1}[number]
        return 0

    def cuStreamCreate(self, stream: Any, flags: int) -> int:
        stream._obj.value = len(self.streams)
        self.streams[len(self.streams)] = []
        return 0

    def cuStreamDestroy_v2(self, stream: Any) -> int:
        return 0 if self.streams.pop(stream.value, None) is not None else INVALID

    def cuStreamSynchronize(self, stream: Any) -> int:
        pending = self.streams[stream.value or 0]
        while pending:
            pending.pop(0)()
        return 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:
        return self._allocate(self.device, address, size.value)

    def cuMemHostAlloc(self, address: Any, size: Any, flags: int) -> int:
        return self._allocate(self.pinned, address, size.value)

    def cuMemFree_v2(self, address: Any) -> int:
        return 0 if self.device.pop(address.value, None) is not None else INVALID

    def cuMemFreeHost(self, address: Any) -> int:
        return 0 if self.pinned.pop(address.value, None) is not None else INVALID

    def cuMemcpyHtoDAsync_v2(self, device: Any, host: Any, size: Any, stream: Any) -> int:
        return self._copy(device.value, host.value, size.value, stream, device.value, host.value)

    def cuMemcpyDtoHAsync_v2(self, host: Any, device: Any, size: Any, stream: Any) -> int:
        return self._copy(host.value, device.value, size.value, stream, device.value, host.value)

    def put(self, stream: int, work: Callable[[], None]) -> None:
        self.streams[stream].append(work)

    def _allocate(self, where: dict[int, Any], address: Any, size: int) -> int:
        memory = ctypes.create_string_buffer(b"\xa5" * size, size)
        address._obj.value = ctypes.addressof(memory)
        where[ctypes.addressof(memory)] = memory
        return 0

    def _copy(self, to: int, of: int, size: int, stream: Any, device: int, host: int) -> int:
        for address, where in ((device, self.device), (host, self.pinned)):
            if address not in where or len(where[address]) < size:
                return INVALID
        self.put(stream.value or 0, lambda: ctypes.memmove(to, of, size))
        return 0

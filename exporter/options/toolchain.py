"""The software on the device, as a user names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The toolchain that the exported graph must suit; by default the newest that kexport knows.

    `jetpack` is the JetPack on the device, or the beginning of its version: "5.1" means the newest
    5.1.x that the device can run. `tensorrt` is the same for TensorRT. `opset` is an ONNX opset
    other than the one that suits the toolchain best. `compute_capabilities` are CUDA's, such as
    "8.6", for which a target with TensorRT for RTX builds its engine; by default all that it is
    known to run on.

    The values are checked where the target is known: `kexport.targets.find`.
    """

    jetpack: str | None = None
    tensorrt: str | None = None
    opset: int | None = None
    compute_capabilities: tuple[str, ...] = ()

"""Whether what is asked suits the target, before the graph is made and after."""

from __future__ import annotations

import platform
from dataclasses import replace

from kexport import check as rules
from kexport import targets
from kexport.artifact import Artifact
from kexport.errors import BadArgument
from kexport.passes.lower_opset import HIGHEST, LOWEST
from kexport.pixels import Pixels
from kexport.targets import Target


def is_here(target: Target) -> bool:
    """Whether a target's CPU is this machine's, so that speed here says something."""
    machines = {"cpu": ("x86_64", "AMD64", "aarch64", "arm64"), "arm64": ("aarch64", "arm64")}
    return platform.machine() in machines.get(target.device, ())


def readable(pixels: Pixels, target: Target) -> Pixels:
    """The same in float32 where the target's toolchain takes no uint8."""
    if target.uint8_input:
        return pixels
    if pixels.subsampled:
        raise BadArgument(
            f"{pixels.form} is bytes, and {target.toolchain} takes no uint8",
            hint="choose --input-format rgb, or a toolchain with TensorRT 8.5 or newer",
        )
    return replace(pixels, dtype="float32")


def check_rules(artifact: Artifact, name: str, target: Target) -> tuple[rules.Finding, ...]:
    """What the target's toolchain warns of; GraphRefused if it would not read the graph right."""
    if target.chosen is None:
        return ()
    place = targets.platform(target)
    findings = rules.find(artifact.model, place)
    rules.require(findings, f"{name} for {target.name}", place)
    return findings


def check_opset(opset: int, target: Target | None = None) -> int:
    """Return `opset`; BadArgument if kexport does not write it, or the target does not read it."""
    if not LOWEST <= opset <= HIGHEST:
        raise BadArgument(
            f"opset {opset} is not written by kexport",
            hint=f"choose one of {LOWEST} to {HIGHEST}, or leave --opset to the target",
        )
    chosen = None if target is None else target.chosen
    if chosen is not None and opset > chosen.rules.opset_cap:
        raise BadArgument(
            f"{chosen} reads opset {chosen.rules.opset_cap} at most, and not {opset}",
            hint="leave out --opset, or name a newer --jetpack or --tensorrt",
        )
    return opset

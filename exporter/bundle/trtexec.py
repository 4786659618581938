"""trtexec script: build_engine.sh builds the same engine as build_engine.py, with trtexec.

For devices without a Python that runs build_engine.py, such as those with JetPack 4. trtexec has
three dialects (https://github.com/NVIDIA/TensorRT, samples/common/sampleOptions.cpp at 8.2, 8.6,
10.3 and 11.1): TensorRT 8 takes precisions as flags, 10 takes them from the graph with
--stronglyTyped, 11 always takes them from the graph.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from kexport.runtime.optimization_profile import format_shapes
from kexport.targets import Target, ToolchainRelease

FULL_OPTIONS = (8, 4)
"""The first release whose trtexec uses all memory as workspace by default, can set the precision of
layers, and can skip running the engine: its help lists "Memory Pools", "LayerPrecisions" and "Build
only", while that of 8.2.1 lists "Workspace: 16 MiB" and none of the others."""

SCRIPT = """\
#!/bin/sh
# Builds engine.plan from model.onnx with trtexec, for {toolchain}.
# Run it on the device, since an engine runs only where it was built. Arguments are passed on to
# trtexec, such as --useDLACore=0 --allowGPUFallback. TRTEXEC sets the path of trtexec.
set -eu
cd "$(dirname "$0")"
trtexec=${{TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}}
rm -f engine.plan engine.json
{before}"$trtexec" \\
{options} \\
    "$@"
"""

FLOAT32_NOT_KEPT = """\
# This trtexec cannot keep single layers in float32, as the graph does for those named here. If the
# outputs lose too many digits on the device, export to fp32 instead: {names}
"""

WORKSPACE = """\
# A quarter of the memory, in MiB: by default, this trtexec uses 16 MiB.
workspace=$(awk '/MemTotal/ {print int($2 / 4096)}' /proc/meminfo)
"""


def keeps_layers(toolchain: ToolchainRelease) -> bool:
    """Whether its trtexec can keep single layers in float32 while it builds in float16."""
    return toolchain.release >= FULL_OPTIONS


def script(
    target: Target, float32_layers: Sequence[str], profile: Mapping[str, Sequence[Sequence[int]]]
) -> str:
    """Return the shell script for a target with a TensorRT.

    Args:
        target: its toolchain decides the dialect, its precision the flags.
        float32_layers: nodes that must stay float32, for builders that choose types.
        profile: the minimum, optimum and maximum shape of each input with free sizes.
    """
    words = list(_options(target, float32_layers, profile))
    options = " \\\n".join(f"    {shlex.quote(word)}" for word in words)
    assert target.toolchain is not None, "only a target with a TensorRT has a script"
    if target.toolchain.release >= FULL_OPTIONS:
        return SCRIPT.format(toolchain=target.toolchain, options=options, before="")
    options += ' \\\n    "--workspace=$workspace"'
    note = FLOAT32_NOT_KEPT.format(names=" ".join(float32_layers)) if float32_layers else ""
    return SCRIPT.format(toolchain=target.toolchain, options=options, before=note + WORKSPACE)


def _options(
    target: Target, float32_layers: Sequence[str], profile: Mapping[str, Sequence[Sequence[int]]]
) -> Iterator[str]:
    assert target.toolchain is not None, "only a target with a TensorRT has a script"
    release, typing = target.toolchain.release, target.toolchain.rules.typing
    yield "--onnx=model.onnx"
    yield "--saveEngine=engine.plan"
    if typing == "weak":
        yield from _flags(
            target.precision, float32_layers if keeps_layers(target.toolchain) else ()
        )
    elif typing == "either":
        yield "--stronglyTyped"
    if target.precision == "fp32":
        yield "--noTF32"
    if release >= FULL_OPTIONS:
        yield "--timingCacheFile=timing.cache"
        yield "--buildOnly" if release < (8, 6) else "--skipInference"
    for index, name in enumerate(("min", "opt", "max")):
        if profile:
            shapes = {key: list(three[index]) for key, three in profile.items()}
            yield f"--{name}Shapes={format_shapes(shapes)}"


def _flags(precision: str, float32_layers: Sequence[str]) -> Iterator[str]:
    if precision in ("fp16", "int8"):
        yield "--fp16"
    if precision == "int8":
        yield "--int8"
    if precision != "fp32" and float32_layers:
        yield "--precisionConstraints=obey"
        yield f"--layerPrecisions={','.join(f'{name}:fp32' for name in float32_layers)}"

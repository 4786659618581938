"""build_engine.sh: the same engine as build_engine.py builds, as one line of trtexec.

For devices without a Python that runs build_engine.py, such as those with JetPack 4. There are
three dialects (https://github.com/NVIDIA/TensorRT, samples/common/sampleOptions.cpp at 8.2, 8.6,
10.3 and 11.1): TensorRT 8 takes precisions as flags, 10 reads them from the graph when asked to,
11 always.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from kexport.runtime.optimization_profile import written
from kexport.targets import Target

GROWN_UP = (8, 4)
"""The release from which on trtexec takes all memory for its work unasked, holds layers to a type,
and can be told not to run the engine: it lists "Memory Pools", "LayerPrecisions" and "Build only"
among its options, where 8.2.1 lists "Workspace: 16 MiB" and none of the others."""

SCRIPT = """\
#!/bin/sh
# Builds engine.plan from model.onnx with trtexec, for {toolchain}.
# Run it on the device, since an engine runs only where it was built. More options of trtexec may
# follow, such as --useDLACore=0 --allowGPUFallback. TRTEXEC names another trtexec.
set -eu
cd "$(dirname "$0")"
trtexec=${{TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}}
rm -f engine.plan engine.json
{before}"$trtexec" \\
{options} \\
    "$@"
"""


LEFT_TO_IT = """\
# This trtexec cannot hold layers to float32. The graph wants it for these; if the answers are wrong
# on the device, export to fp32 instead: {names}
"""

WORKSPACE = """\
# A quarter of the memory, in MiB: unasked, this trtexec takes 16.
workspace=$(awk '/MemTotal/ {print int($2 / 4096)}' /proc/meminfo)
"""


def script(
    target: Target, float32_layers: Sequence[str], profile: Mapping[str, Sequence[Sequence[int]]]
) -> str:
    """The shell script for a target with a TensorRT.

    Args:
        target: its toolchain chooses the dialect, its precision the flags.
        float32_layers: nodes that must not become float16, for builders that choose types.
        profile: for each input with free sizes its smallest, usual and largest shape.
    """
    words = list(_options(target, float32_layers, profile))
    options = " \\\n".join(f"    {shlex.quote(word)}" for word in words)
    assert target.toolchain is not None, "only a target with a TensorRT has a script"
    if target.toolchain.release >= GROWN_UP:
        return SCRIPT.format(toolchain=target.toolchain, options=options, before="")
    options += ' \\\n    "--workspace=$workspace"'
    said = LEFT_TO_IT.format(names=" ".join(float32_layers)) if float32_layers else ""
    return SCRIPT.format(toolchain=target.toolchain, options=options, before=said + WORKSPACE)


def _options(
    target: Target, float32_layers: Sequence[str], profile: Mapping[str, Sequence[Sequence[int]]]
) -> Iterator[str]:
    assert target.toolchain is not None, "only a target with a TensorRT has a script"
    release, typing = target.toolchain.release, target.toolchain.rules.typing
    yield "--onnx=model.onnx"
    yield "--saveEngine=engine.plan"
    if typing == "weak":
        yield from _flags(target.precision, float32_layers if release >= GROWN_UP else ())
    elif typing == "either":
        yield "--stronglyTyped"
    if release >= GROWN_UP:
        yield "--timingCacheFile=timing.cache"
        yield "--buildOnly" if release < (8, 6) else "--skipInference"
    for index, name in enumerate(("min", "opt", "max")):
        if profile:
            shapes = {key: list(three[index]) for key, three in profile.items()}
            yield f"--{name}Shapes={written(shapes)}"


def _flags(precision: str, float32_layers: Sequence[str]) -> Iterator[str]:
    if precision in ("fp16", "int8"):
        yield "--fp16"
    if precision == "int8":
        yield "--int8"
    if precision != "fp32" and float32_layers:
        yield "--precisionConstraints=obey"
        yield f"--layerPrecisions={','.join(f'{name}:fp32' for name in float32_layers)}"

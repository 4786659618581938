"""build_engine.sh: the same engine as build_engine.py builds, as one line of trtexec.

For devices without a Python that runs build_engine.py, such as those with JetPack 4. There are
three dialects (https://github.com/NVIDIA/TensorRT, samples/common/sampleOptions.cpp at 8.2, 8.6,
10.3 and 11.1): TensorRT 8 takes precisions as flags, 10 reads them from the graph when asked to,
11 always.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from kexport.runtime.profile import written
from kexport.targets import Target

POOLS_FROM = (8, 4)
"""The release from which on the builder may take all memory for its work unasked."""

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
        float32_layers: nodes of a float16 graph that stay float32, for builders that choose types.
        profile: for each input with free sizes its smallest, usual and largest shape.
    """
    words = list(_options(target, float32_layers, profile))
    options = " \\\n".join(f"    {shlex.quote(word)}" for word in words)
    assert target.chosen is not None, "only a target with a TensorRT has a script"
    if target.chosen.release >= POOLS_FROM:
        return SCRIPT.format(toolchain=target.toolchain, options=options, before="")
    options += ' \\\n    "--workspace=$workspace"'
    return SCRIPT.format(toolchain=target.toolchain, options=options, before=WORKSPACE)


def _options(
    target: Target, float32_layers: Sequence[str], profile: Mapping[str, Sequence[Sequence[int]]]
) -> Iterator[str]:
    assert target.chosen is not None, "only a target with a TensorRT has a script"
    release, typing = target.chosen.release, target.chosen.rules.typing
    yield "--onnx=model.onnx"
    yield "--saveEngine=engine.plan"
    if typing == "weak":
        yield from _flags(target.precision, float32_layers)
    elif typing == "either":
        yield "--stronglyTyped"
    if release >= POOLS_FROM:
        yield "--timingCacheFile=timing.cache"
    if release < (8, 6):
        yield "--buildOnly"
    else:
        yield "--skipInference"
    for index, name in enumerate(("min", "opt", "max")):
        if profile:
            shapes = {key: list(three[index]) for key, three in profile.items()}
            yield f"--{name}Shapes={written(shapes)}"


def _flags(precision: str, float32_layers: Sequence[str]) -> Iterator[str]:
    if precision in ("fp16", "int8"):
        yield "--fp16"
    if precision == "int8":
        yield "--int8"
    if precision == "fp16" and float32_layers:
        yield "--precisionConstraints=obey"
        yield f"--layerPrecisions={','.join(f'{name}:fp32' for name in float32_layers)}"

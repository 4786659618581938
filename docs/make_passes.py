"""Generator of docs/passes.md: the passes of each kind of target, and their descriptions.

Run it after changing exporter/passes/: `python docs/make_passes.py`. A test compares the page with
the code.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

from kexport import targets
from kexport.graph.passes import Pass
from kexport.options.input_image import InputImage
from kexport.passes.pipeline import GraphFormat, PassArguments, Phase, phases_for

PAGE = Path(__file__).with_name("passes.md")
KINDS = ("cpu-fp32", "cpu-int8", "trt-fp32", "trt-fp16", "trt-int8")
"""The targets whose lists differ; others have one of these lists, or fewer passes."""

HEAD = """# Passes

`python docs/make_passes.py` writes this page from [exporter/passes/](../exporter/passes), and a
test compares it with the code.

A pass rewrites the ONNX graph. Which passes run for a target, and in which order, is one list:
`phases_for` in [pipeline.py](../exporter/passes/pipeline.py), with the reason for each place.

```sh
kexport passes --target cpu-int8
kexport passes --target jetson-orin-fp16 --jetpack 6.2 --json
```

## Order

The lists are those of an image model with `--top-k`, for the newest toolchain. Steps in italics
are measurements: they run images through the graph.

"""

BODY = """
## Passes by name

`==>` separates the pattern from the result. *Exact* means equal results on every input, *exact up
to rounding* that the same formula is evaluated in another order or precision.
"""


def page() -> str:
    """Return the page as the code has it."""
    phases = {name: _phases(name) for name in KINDS}
    return "".join([HEAD, *_order(phases), BODY, *_passes(phases)])


def _phases(name: str) -> tuple[Phase, ...]:
    target = targets.find(name)
    every = PassArguments(images=(InputImage("none"),), top_k=("scores", 1))
    return phases_for(GraphFormat.of(target), every)


def _order(phases: dict[str, tuple[Phase, ...]]) -> Iterator[str]:
    yield "Every target begins with this phase:\n\n"
    yield _line(1, phases[KINDS[0]][0])
    for name, listed in phases.items():
        yield f"\n`{name}` goes on with these:\n\n"
        yield from (_line(number, phase) for number, phase in enumerate(listed[1:], 2))


def _line(number: int, phase: Phase) -> str:
    steps = (
        f"[{step.name}](#{step.name})" if isinstance(step, Pass) else f"*{step.name}*"
        for step in phase.members
    )
    line = f"{number}. {phase.name}: {', '.join(steps)}"
    return textwrap.fill(line, 100, subsequent_indent="   ") + "\n"


def _passes(phases: dict[str, tuple[Phase, ...]]) -> Iterator[str]:
    found = {step.name: step for listed in phases.values() for p in listed for step in p.passes}
    for name in sorted(found):
        yield f"\n### {name}\n\n{_description(found[name])}\n"


def _description(step: Pass) -> str:
    """Return the docstring as Markdown, with each rule in a block of its own, without `Raises`."""
    text, _, _ = inspect.cleandoc(step.__doc__ or "").partition("\nRaises:")
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(
        f"```text\n{paragraph}\n```" if "==>" in paragraph else paragraph
        for paragraph in paragraphs
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

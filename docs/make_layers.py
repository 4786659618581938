"""Writes docs/layers.md: which road every public layer class of Keras takes into ONNX.

Run it after adding a rule: `python docs/make_layers.py`. The tests convert one example of each
class and hold the page to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import keras

from kexport.conversion.rules import LAYERS
from kexport.conversion.unsupported import REFUSED

PAGE = Path(__file__).with_name("layers.md")

NO_LAYERS = ("InputSpec", "Layer", "Wrapper")
"""Public classes that no model holds as they are."""

WALKED = ("InputLayer", "SpectralNormalization")
"""Classes that the walk through the model converts itself."""

NOTES = {
    "CenterCrop": "traced where the height or width is open, or pixels are whole numbers",
    "Dot": "traced for tensors of more than three axes",
    "RMSNormalization": "traced unless the axes are the last ones",
    "Resizing": "cubic, Lanczos, area, antialiasing and kept aspect ratios need a known height and "
    "width; whole numbers half way between two, to within float32, may round to the other one",
    "Softmax": "one axis; several are refused",
    "UpSampling2D": "cubic and Lanczos need a known height and width",
}
"""What a rule does not cover."""

HEAD = """# Layers

Which road each public layer class of Keras {version} takes into ONNX. `python docs/make_layers.py`
writes this page, and the tests convert an example of every class.

- **rule**: kexport writes the ONNX nodes itself, exactly as the layer computes.
- **tf2onnx**: TensorFlow traces the layer, and tf2onnx converts the trace.
- **refused**: conversion fails, names the layer and says why.

{count} classes: {rule} by rule, {tf2onnx} through tf2onnx, {refused} refused.
Your own layers go through tf2onnx.

| layer | road | notes |
|---|---|---|
"""


def classes() -> dict[str, list[str]]:
    """Each class that a model can hold, by name, with the other names that Keras gives it."""
    found: dict[str, list[str]] = {}
    for name, kind in inspect.getmembers(keras.layers, inspect.isclass):
        if kind.__name__ not in NO_LAYERS:
            found.setdefault(kind.__name__, []).append(name)
    return {
        own: sorted(name for name in names if name != own) for own, names in sorted(found.items())
    }


def road(name: str) -> str:
    """One of rule, tf2onnx and refused."""
    if name in REFUSED:
        return "refused"
    ruled = name in WALKED or any(kind.__name__ == name for kind in LAYERS)
    return "rule" if ruled else "tf2onnx"


def page() -> str:
    """The page, as it should be."""
    known = classes()
    roads = [road(name) for name in known]
    counts = {each: roads.count(each) for each in ("rule", "tf2onnx", "refused")}
    version = ".".join(keras.__version__.split(".")[:2])
    return HEAD.format(version=version, count=len(known), **counts) + "".join(_rows(known))


def _rows(known: dict[str, list[str]]) -> Iterator[str]:
    for name, aliases in known.items():
        notes = [REFUSED.get(name, NOTES.get(name, ""))]
        if aliases:
            notes.insert(0, "also " + ", ".join(f"`{alias}`" for alias in aliases))
        yield f"| `{name}` | {road(name)} | {'; '.join(note for note in notes if note)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

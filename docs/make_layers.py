"""The page docs/layers.md: how each public layer class of Keras is converted to ONNX.

Run `python docs/make_layers.py` after adding a rule. The tests convert one example of each
class and compare with the page.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import keras

from kexport.conversion.rules import LAYERS
from kexport.conversion.rules.recurrent_cells import FORMS
from kexport.conversion.unsupported import REFUSED

PAGE = Path(__file__).with_name("layers.md")

NO_LAYERS = ("InputSpec", "Layer", "Wrapper")
"""Public classes that are not layers of a model by themselves."""

WALKED = ("InputLayer", "SpectralNormalization", "StackedRNNCells", "TimeDistributed")
"""Classes without an entry in the table of rules, which the walk or another rule converts."""

ACTIVATION = "a Scan with an activation that the operator of ONNX does not know"

NOTES = {
    "Bidirectional": "of layers of Keras' own classes; of others traced",
    "CenterCrop": "traced if the height or width is dynamic, or if pixels are integers",
    "Dot": "traced for tensors of more than three axes",
    "GRU": ACTIVATION,
    "IntegerLookup": '`oov_method="farmhash"` and sparse outputs are refused',
    "LSTM": ACTIVATION,
    "RMSNormalization": "traced unless the axes are the last ones",
    "RNN": "of other cells than Keras' a Scan, in whose body the cell is traced",
    "Resizing": "cubic, Lanczos, area, antialiasing and preserved aspect ratios need a static "
    "height and width; integers may differ by one where float32 cannot tell on which side of a "
    "half a value is",
    "SimpleRNN": ACTIVATION,
    "Softmax": "traced with a mask",
    "TimeDistributed": "step by step, in a Scan, of layers that may look at other samples",
    "UpSampling2D": "cubic and Lanczos need a static height and width",
}
"""Limits of the rules."""

HEAD = """# Layers

How each public layer class of Keras {version} is converted to ONNX. `python docs/make_layers.py`
writes this page, and the tests convert an example of every class.

- **rule**: kexport writes the ONNX nodes itself, exactly as the layer computes.
- **tf2onnx**: TensorFlow traces the layer, and tf2onnx converts the trace.
- **refused**: conversion fails, names the layer and says why.

{count} classes: {rule} by rule, {tf2onnx} through tf2onnx, {refused} refused.
Custom layers go through tf2onnx. So do layers that merge tensors of which one has a mask.
[keras-tests.md](keras-tests.md) says what becomes of the layer tests of Keras itself, with the
reason of each refusal.

| layer | conversion | notes |
|---|---|---|
"""


def classes() -> dict[str, list[str]]:
    """Return each class that a model can contain, by name, with its aliases in Keras."""
    found: dict[str, list[str]] = {}
    for name, kind in inspect.getmembers(keras.layers, inspect.isclass):
        if kind.__name__ not in NO_LAYERS:
            found.setdefault(kind.__name__, []).append(name)
    return {
        own: sorted(name for name in names if name != own) for own, names in sorted(found.items())
    }


def road(name: str) -> str:
    """Return how a class is converted: rule, tf2onnx or refused."""
    if name in REFUSED:
        return "refused"
    ruled = name in WALKED or any(kind.__name__ == name for kind in (*LAYERS, *FORMS))
    return "rule" if ruled else "tf2onnx"


def page() -> str:
    """Return the page as it should be."""
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

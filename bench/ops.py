"""Convert a model of one operation for each public function of keras.ops, and compare with Keras.

    python bench/ops.py [NAME ...]        print what is not right
    python bench/ops.py --write           write docs/ops.md

Each model runs on ordinary numbers and on special ones: NaN, infinities, zeros of both signs,
equal numbers, the ends of whole numbers.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
from ops_table import TABLE, Case

import kexport
from kexport.conversion import convert_model
from kexport.errors import KexportError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "ops.md"
BATCH = 2
SPECIAL = [0, -0.0, 1, 1, -1, 0.5, 2.5, -3.5, 1e30, 1e-30]
INFINITE = [np.nan, np.inf, -np.inf]
TOLERANCE = 2e-6
"""Of the larger of 1 and the magnitude: 17 units of the last place of float32."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case with one type."""

    case: str
    kind: str
    """right, traced, refused, wrong, traceback; `infinite` where only NaN and infinities give
    something else; `keras` where Keras itself cannot."""
    why: str = ""


def main(arguments: list[str]) -> None:
    """Run the cases of all functions, or of those named."""
    warnings.simplefilter("ignore")
    names = [name for name in arguments if not name.startswith("--")] or public()
    found = {name: outcomes(name) for name in names}
    for name, each in found.items():
        for one in each:
            if one.kind in ("wrong", "traceback", "refused", "infinite"):
                print(f"{name} {one.case}: {one.kind}: {one.why}", flush=True)
    print(Counter(one.kind for each in found.values() for one in each))
    if "--write" in arguments:
        PAGE.write_text(page(found), encoding="utf-8")


def public() -> list[str]:
    """Return the names of all public functions of keras.ops and keras.ops.image."""
    image = [f"image.{name}" for name in _functions(keras.ops.image)]
    return [*_functions(keras.ops), *image]


def _functions(module: Any) -> list[str]:
    return [name for name in dir(module) if name[0] != "_" and callable(getattr(module, name))]


def outcomes(name: str) -> list[Outcome]:
    """Try a function with each of its cases and their types."""
    return [_outcome(name, case, dtype) for case in TABLE.get(name, ()) for dtype in case.types]


def _outcome(name: str, case: Case, dtype: str) -> Outcome:
    label = f"{dtype} {case.inputs}"
    if case.named:
        label += f" {case.named}"
    function: Any = keras.ops
    try:
        for part in name.split("."):
            function = getattr(function, part)
        model = _model(function, case, dtype)
        samples = [
            [_draw(shape, case, dtype, i, odd) for i, shape in enumerate(case.inputs)]
            for odd in ([], SPECIAL, [*SPECIAL, *INFINITE])
        ]
        with np.errstate(all="ignore"):
            wanted = [_answers(model, sample) for sample in samples]
    except Exception as error:  # noqa: BLE001 - Keras, TensorFlow and NumPy raise many
        return Outcome(label, "keras", str(error)[:80])
    try:
        traced = convert_model(model).traced
        proto = kexport.convert(model)
        session = onnxruntime.InferenceSession(proto.SerializeToString(), _options())
        for place, (sample, expected) in enumerate(zip(samples, wanted, strict=True)):
            feeds = {x.name: array for x, array in zip(session.get_inputs(), sample, strict=True)}
            why = _difference(session.run(None, feeds), expected, sample)
            if why:
                return Outcome(label, "wrong" if place < 2 else "infinite", why)
    except KexportError as error:
        return Outcome(label, "refused", str(error))
    except Exception as error:  # noqa: BLE001 - which is what is counted
        return Outcome(label, "traceback", f"{type(error).__name__}: {error}"[:300])
    return Outcome(label, "traced" if traced else "right")


def _model(function: Any, case: Case, dtype: str) -> keras.Model:
    inputs = [keras.Input(_shape(shape), dtype=dtype) for shape in case.inputs]
    given = [inputs] if case.listed else inputs
    outputs = function(*case.prefix, *given, *case.positional, **case.named)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)


def _shape(words: str) -> tuple[int, ...]:
    return tuple(int(extent) for extent in words.split("x") if extent)


def _draw(words: str, case: Case, dtype: str, seed: int, odd: list[float]) -> Any:
    shape = (BATCH, *_shape(words))
    rng = np.random.default_rng(seed)
    if case.positive:
        square = rng.normal(size=(*shape[:-1], shape[-1])).astype(np.float32)
        if shape[-1] != shape[-2]:
            return square
        return (square @ np.swapaxes(square, -1, -2) + 3 * np.eye(shape[-1])).astype(np.float32)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype != "float32":
        low, high = (0, 200) if dtype == "uint8" else (-50, 50)
        if case.below is not None:
            low, high = 0, case.below
        values = rng.integers(low, high, shape).astype(dtype)
        if odd and case.below is None:
            values.flat[: values.size // 2] = rng.integers(0, 3, values.size // 2)
        return values
    values = rng.normal(size=shape).astype(np.float32)
    if odd:
        places = rng.permutation(values.size)[: values.size * 2 // 3]
        values.flat[places] = rng.choice(np.float32(odd), len(places))
    return values


def _answers(model: keras.Model, sample: list[Any]) -> list[Any]:
    outputs = model(sample if len(sample) > 1 else sample[0], training=False)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return options


def _difference(given: list[Any], wanted: list[Any], sample: list[Any]) -> str:
    for found, expected in zip(given, wanted, strict=True):
        dtype = np.dtype(np.float32) if expected.dtype.kind == "f" else expected.dtype
        if found.shape != expected.shape or found.dtype not in (dtype, expected.dtype):
            return f"{found.dtype}{found.shape} in the place of {expected.dtype}{expected.shape}"
        if expected.dtype.kind != "f":
            same = found == expected
        else:
            same = np.isclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if not np.all(same):
            place = np.unravel_index(int(np.argmin(same)), same.shape)
            at = [x[place] for x in sample if x.shape == same.shape]
            return f"{found[place]} in the place of {expected[place]} for {at}"
    return ""


def page(found: dict[str, list[Outcome]]) -> str:
    """Write docs/ops.md."""
    tried = {
        name: [one for one in each if one.kind != "keras"]
        for name, each in found.items()
        if any(one.kind != "keras" for one in each)
    }
    kinds = Counter(one.kind for each in tried.values() for one in each)
    return HEAD.format(
        version=".".join(keras.__version__.split(".")[:2]),
        equal=kinds["right"] + kinds["traced"],
        infinite=kinds["infinite"],
        refused=kinds["refused"],
        wrong=kinds["wrong"],
        tracebacks=kinds["traceback"],
        rows="\n".join(_row(name, each) for name, each in tried.items()),
        untried=", ".join(f"`{name}`" for name in found if name not in tried),
    )


def _row(name: str, each: list[Outcome]) -> str:
    kinds = Counter(one.kind for one in each)
    good = kinds["right"] + kinds["traced"] + kinds["infinite"]
    road = "rule" if kinds["right"] == good else "tf2onnx" if not kinds["right"] else "both"
    notes = [] if not kinds["infinite"] else ["NaN and infinities may give another result"]
    for why in dict.fromkeys(_reason(one) for one in each if one.kind not in GOOD):
        types = sorted({one.case.split()[0] for one in each if _reason(one) == why})
        notes.append(f"{', '.join(types)}: {why}")
    return f"| `{name}` | {good} of {len(each)} | {road if good else ''} | {'; '.join(notes)} |"


def _reason(one: Outcome) -> str:
    """Return why a case is not right, without the name that its operation has in the process."""
    why = one.why.partition("has no rule, and ")[2] or one.why
    return re.sub(r" \([\w/.:]+\)(?=:|$)|'\w+?_?\d*/(?=\w+')", "", why).replace("|", "/")


GOOD = ("right", "traced", "infinite")

HEAD = """# Operations

What becomes of each public function of `keras.ops` of Keras {version} in a functional model: models
of one operation, with float32, int32, int64, uint8 and bool inputs, on ordinary numbers and on NaN,
infinities, zeros, equal numbers, and the ends of whole numbers. `python bench/ops.py --write`
writes this page.

{equal} cases equal Keras, {infinite} do so on all numbers but not on NaN or infinities, {refused}
are refused, {wrong} are wrong, {tracebacks} end in a traceback.

- **rule**: kexport writes the ONNX nodes itself. **tf2onnx**: TensorFlow traces the operation.
  **both**: it depends on the types.
- Inside a layer of your own every operation is traced, with the layer.
- A float beyond the range of an integer type, or below 0 for an unsigned one, casts to whatever the
  processor makes of it, in TensorFlow and in ONNX Runtime; `saturate_cast` is the same in both.

| function | equal | conversion | notes |
|---|---|---|---|
{rows}

Not tried, for they take no tensor, or functions, complex numbers, several types, or shapes that a
functional model does not know: {untried}.
"""


if __name__ == "__main__":
    main(sys.argv[1:])

"""Convert the vision models of KerasHub and kimm, built small, and compare with Keras.

    pip install --no-deps keras-hub kimm regex tokenizers sentencepiece
    python bench/hub.py [NAME ...]        convert all, or those whose name has NAME in it
    python bench/hub.py --write           write docs/keras-hub.md from build/hub.jsonl

Each result is printed and appended to build/hub.jsonl; of several of one model the last one counts.

Weights are those that Keras draws, and random numbers where it sets all of a variable to one value,
as biases and scales. Each model runs in ONNX Runtime on three batches, of 1, 2 and 3 samples, at
each of its sizes.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
from hub_parts import FIXED, Part
from hub_table import HUB, KIMM, KIMM_ARGUMENTS, KIMM_SIZES, Row
from page import table

import kexport
from kexport.errors import KexportError
from kexport.source.synthetic_images import draw_images

PAGE = Path(__file__).resolve().parents[1] / "docs" / "keras-hub.md"
RESULTS = Path("build/hub.jsonl")
TOLERANCE = 1e-4
"""Of the largest magnitude of an output."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a model."""

    title: str
    kind: str
    """equal, wrong, refused, traceback or unloadable; keras where Keras itself cannot."""
    why: str = ""
    error: float = 0.0
    """The largest difference, of the largest magnitude of its output."""
    nodes: int = 0


def main(arguments: list[str]) -> None:
    """Convert all models or those named, or write the page."""
    if "--write" in arguments:
        found = _measured()
        versions = {
            library: importlib.metadata.version(DISTRIBUTIONS[library]) for library in found
        }
        PAGE.write_text(page(found, versions), encoding="utf-8")
        return
    warnings.simplefilter("ignore")
    RESULTS.parent.mkdir(exist_ok=True)
    for library, rows in LIBRARIES.items():
        for row, make in rows():
            if not arguments or any(name in row.title for name in arguments):
                found = outcome(row, make)
                print(library, found, flush=True)
                with RESULTS.open("a", encoding="utf-8") as file:
                    print(json.dumps({"library": library, **asdict(found)}), file=file)


def _measured() -> dict[str, list[Outcome]]:
    """Read the last result of each model, in the order of the table."""
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    last = {(line.pop("library"), line["title"]): Outcome(**line) for line in lines}
    each = {
        library: [last[library, row.title] for row, _ in rows() if (library, row.title) in last]
        for library, rows in LIBRARIES.items()
    }
    return {library: outcomes for library, outcomes in each.items() if outcomes}


def _hub() -> Iterator[tuple[Row, Callable[[], keras.Model]]]:
    return ((row, partial(build, row.model)) for row in HUB)


def _kimm() -> Iterator[tuple[Row, Callable[[], keras.Model]]]:
    for name in KIMM:
        arguments = {**KIMM_ARGUMENTS, "input_shape": KIMM_SIZES.get(name, FIXED)}
        yield Row(name, Part(name, arguments)), partial(_kimm_model, name, arguments)


LIBRARIES = {"KerasHub": _hub, "kimm": _kimm}
DISTRIBUTIONS = {"KerasHub": "keras-hub", "kimm": "kimm"}


def _kimm_model(name: str, arguments: dict[str, Any]) -> keras.Model:
    import kimm

    return getattr(kimm.models, name)(**arguments)


def build(part: Any) -> Any:
    """Build a part of KerasHub with the parts among its arguments; anything else is left as is."""
    import keras_hub

    if not isinstance(part, Part):
        return part
    arguments = {name: build(value) for name, value in part.arguments.items()}
    kind = getattr(keras_hub.models, part.name, None) or getattr(keras_hub.layers, part.name)
    return kind(**arguments)


def outcome(row: Row, make: Callable[[], keras.Model]) -> Outcome:
    """Build a model, convert it, and compare it with Keras on every batch and size."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    try:
        model = make()
        samples = list(_samples(model, row))
        _vary(model)
        wanted = [_answers(model, sample) for sample in samples]
    except Exception as error:  # noqa: BLE001 - KerasHub and Keras raise many
        return Outcome(row.title, "keras", _line(error))
    try:
        proto = kexport.convert(model)
    except KexportError as error:
        return Outcome(row.title, "refused", _line(error))
    except Exception as error:  # noqa: BLE001 - which is what is counted
        return Outcome(row.title, "traceback", f"{type(error).__name__}: {_line(error)}")
    nodes = len(proto.graph.node)
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), _options())
        errors = [
            _error(session.run(None, _feeds(session, sample)), expected)
            for sample, expected in zip(samples, wanted, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 - which is what is counted
        return Outcome(row.title, "unloadable", _line(error), nodes=nodes)
    kind = "equal" if max(errors) <= TOLERANCE else "wrong"
    return Outcome(row.title, kind, error=max(errors), nodes=nodes)


def _vary(model: keras.Model) -> None:
    """Draw the weights that Keras sets to one value: about 0 where it is 0, else in 0.5..1.5."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        if value.dtype.kind == "f" and value.size and value.min() == value.max():
            drawn = (
                rng.uniform(0.5, 1.5, value.shape)
                if value.max()
                else rng.normal(0, 0.1, value.shape)
            )
            weight.assign(drawn)


def _samples(model: keras.Model, row: Row) -> Iterator[dict[str, Any]]:
    """Yield an array for each input by its name, for each batch and size."""
    for size in row.sizes or ((),):
        for batch in row.batches:
            rng = np.random.default_rng(batch)
            yield {x.name: _draw(rng, x, batch, row.open.get(x.name, size)) for x in model.inputs}


def _draw(rng: np.random.Generator, x: Any, batch: int, given: tuple[int, ...]) -> Any:
    extents = iter(given)
    shape = [batch, *(next(extents) if extent is None else extent for extent in x.shape[1:])]
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype == "bool":
        return np.arange(shape[-1]) < rng.integers(2, shape[-1] + 1, (*shape[:-1], 1))
    if dtype.startswith("int"):
        return rng.integers(1, 3, shape).astype(dtype)
    if len(shape) == 4:
        height, width, channels = shape[1:]
        return draw_images(batch, height, width, channels, seed=batch) / np.float32(255)
    return rng.uniform(0, 1, shape).astype(np.float32)


def _answers(model: keras.Model, sample: dict[str, Any]) -> list[Any]:
    given = keras.tree.map_structure(lambda x: sample[x.name], model._inputs_struct)
    outputs = model(given, training=False)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def _feeds(session: Any, sample: dict[str, Any]) -> dict[str, Any]:
    arrays = {re.sub(r"[^A-Za-z0-9_./-]", "_", name): array for name, array in sample.items()}
    if len(sample) == 1:
        return {session.get_inputs()[0].name: next(iter(sample.values()))}
    return {x.name: arrays[x.name] for x in session.get_inputs()}


def _error(given: list[Any], wanted: list[Any]) -> float:
    worst = 0.0
    for found, expected in zip(given, wanted, strict=True):
        if found.shape != expected.shape:
            raise ValueError(f"{found.shape} in the place of {expected.shape}")
        if not np.all(np.isfinite(expected)):
            raise ValueError("Keras answers infinities")
        if expected.size:
            magnitude = max(float(np.abs(expected).max()), 1e-3)
            difference = np.abs(found.astype(np.float64) - expected).max()
            worst = max(worst, float(difference) / magnitude)
    return worst


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return options


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def page(found: dict[str, list[Outcome]], versions: dict[str, str]) -> str:
    """Write docs/keras-hub.md."""
    sections = [HEAD.format(keras=keras.__version__)]
    for library, each in found.items():
        tried = [one for one in each if one.kind != "keras"]
        kinds = Counter(one.kind for one in tried)
        others = [f"{kinds[kind]} {word}" for kind, word in WORDS.items()]
        rows = [[f"`{one.title}`", one.kind, f"{one.nodes}", _figure(one)] for one in tried]
        sections += [
            f"## {library} {versions[library]}",
            f"{kinds['equal']} of {len(tried)} are equal to Keras, {', '.join(others)}.",
            table(["model", "result", "nodes", "error"], rows),
        ]
    return "\n\n".join(sections) + "\n"


def _figure(one: Outcome) -> str:
    return f"{one.error:.1e}" if one.kind in ("equal", "wrong") else one.why.replace("|", "/")


WORDS = {
    "wrong": "wrong",
    "refused": "refused",
    "traceback": "end in a traceback",
    "unloadable": "do not run in ONNX Runtime",
}

HEAD = """# KerasHub

Vision models of KerasHub and kimm with Keras {keras}, built small with random weights, converted
with `kexport.convert`, and run in ONNX Runtime on batches of 1, 2 and 3 samples, models of any
image size at two sizes. `python bench/hub.py` measures, `python bench/hub.py --write` writes this
page; the models are listed in [hub_table.py](../bench/hub_table.py).

- **error**: the largest difference, as a part of the largest magnitude of its output. A model is
  equal up to 1e-4; differences arise from sums in another order. `DFineBackbone`
  ranks scores, two of which are almost equal here: Keras itself, on the image of batch 1 changed by
  a millionth, differs from itself by 0.34 in one of two trials."""


if __name__ == "__main__":
    main(sys.argv[1:])

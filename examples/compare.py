"""Export an example in fp32 and int8, and compare both bundles with Keras on held-out images.

    python examples/compare.py segment

draws the data into out/segment unless it is there, and leaves the bundles beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import sys
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import fruit_data
import keras
from measures import MEASURES

from kexport.cli import main as kexport

HERE = Path(__file__).resolve().parent
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Example:
    """What `kexport` and `kexport run` are told, and where the data has images.

    `images` is the folder to calibrate on, and `files` the pattern of the files in it.
    """

    export: str
    run: str = ""
    images: str = "images"
    files: str = "*.jpg"


EXAMPLES = {
    "classify": Example("--labels examples/classify/labels.txt", images=".", files="*/*.jpg"),
    "binary": Example("--labels examples/binary/labels.txt", images=".", files="*/*.jpg"),
    "multilabel": Example(
        "--task multilabel --preprocess unit --labels examples/multilabel/labels.txt"
    ),
    "segment": Example(
        "--task segment --preprocess none --labels examples/segment/labels.txt "
        "--palette '#303030,#d03030,#f0d040,#70b050'"
    ),
    "detect": Example(
        "--task detect --box-format xyxy --box-units relative --preprocess unit "
        "--resize-outside pil-nearest --labels examples/detect/labels.txt",
        "--threshold 0",
    ),
    "regress": Example("--task regress --preprocess unit --labels examples/regress/labels.txt"),
    "embed": Example(
        "--task embed --resize-outside tf-bilinear,crop",
        "--gallery DATA/gallery -k 1",
        files="*/*.jpg",
    ),
    "image": Example("--task image --preprocess unit", images="noisy"),
}


def model_of(task: str) -> Path:
    """Return the trained model of an example."""
    return next((HERE / task).glob("*.keras"))


def train_of(task: str) -> ModuleType:
    """Return an example's train.py as a module."""
    spec = util.spec_from_file_location(f"train_{task}", HERE / task / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw(task: str, out: Path, train: int = 1000, held_out: int = 400) -> None:
    """Draw the data of an example into out/train and out/held-out, unless it is there."""
    for seed, (name, count) in enumerate((("train", train), ("held-out", held_out))):
        if not (out / name).exists():
            fruit_data.write(task, out / name, count, seed)


def export(task: str, precision: str, out: Path) -> Path:
    """Export an example as its README says, and return the bundle."""
    bundle = out / f"cpu-{precision}"
    words = [str(model_of(task)), "--target", f"cpu-{precision}", "-o", str(bundle), "--force"]
    words += shlex.split(EXAMPLES[task].export.replace("examples/", f"{HERE}/"))
    if precision == "int8":
        words += ["--calibration-data", str(out / "train" / EXAMPLES[task].images)]
    told(*words, "--quiet")
    return bundle


def words_of_run(task: str, out: Path, saved: Path | None) -> list[str]:
    """Return the arguments with which `kexport run` and `run.py` answer the held-out images."""
    data, example = out / "held-out", EXAMPLES[task]
    words = [str(data / example.images / example.files)]
    words += [word.replace("DATA", str(data)) for word in example.run.split()]
    return words if saved is None else [*words, "--save", str(saved)]


FILES = ("segment", "image")
"""Tasks that are measured by the files of --save."""


def answers(task: str, bundle: Path, out: Path, *, save: bool) -> list[dict[str, Any]]:
    """Return what `kexport run` answers for the held-out images, and save it if asked to."""
    words = words_of_run(task, out, out / f"answers-{bundle.name}" if save else None)
    return read(told("run", str(bundle), *words, "--jsonl"))


def read(lines: str) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in lines.splitlines()]


def told(*words: str) -> str:
    """Run a command of kexport in this process, which saves loading Keras, and return its output.

    Raises SystemExit if it fails; it has then said why.
    """
    with contextlib.redirect_stdout(io.StringIO()) as output:
        status = kexport(list(words))
    if status != 0:
        raise SystemExit(status)
    return output.getvalue()


def in_keras(task: str, out: Path) -> float:
    """Return the measure of Keras, with the loader of the example."""
    model = keras.models.load_model(model_of(task), compile=False)
    return MEASURES[task].of_keras(train_of(task), model, out / "held-out")


def in_bundle(task: str, found: list[dict[str, Any]], out: Path) -> float:
    """Return the measure of a bundle's answers."""
    return MEASURES[task].of_bundle(train_of(task), found, out / "held-out")


def main() -> None:
    """Read the command line, export, measure and print a table."""
    parser = argparse.ArgumentParser(description="Compare the bundles of an example with Keras.")
    parser.add_argument("task", choices=EXAMPLES)
    task = parser.parse_args().task
    out = HERE.parent / "out" / task
    draw(task, out)
    print(f"{MEASURES[task].name} on held-out images")
    print(f"  Keras  {in_keras(task, out):7.2f}")
    for precision in PRECISIONS:
        bundle = export(task, precision, out)
        found = in_bundle(task, answers(task, bundle, out, save=task in FILES), out)
        print(f"  {precision:<6} {found:7.2f}   {bundle}")


if __name__ == "__main__":
    main()

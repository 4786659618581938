"""Hashes of small bundles of every kind, to show that a refactoring changes no exported byte.

    python bench/same_bundles.py --out before.json       # before the change
    python bench/same_bundles.py --against before.json   # after it

Every bundle is exported with the kexport of this Python, in a process of its own, and the SHA-256
of its model, golden outputs and labels is taken. The exit status is 1 where anything differs.
Compare on one machine with the same packages: the weights are drawn from the values that pass
through the network, so they carry TensorFlow's last bits. The metadata of model.onnx hold the
release of kexport and the schema of the manifest, so a change of either shows in every kind.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from process import environment

FIXED = {
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
"""TensorFlow's last bits vary with its kernels and threads, and the drawn weights with them."""

FILES = ("model.onnx", "model.onnx.data", "golden.npz", "labels.txt")
DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"
IMAGES = "images.npy"
"""The calibration images, in the folder in which the exports run."""

SMALL = ("mobilenet_v2", "--weights", "random", "--input-shape", "32,32")
FLOAT = (*SMALL, "--target", "cpu-fp32")
TRAINED = (f"{DIGITS / 'digits.keras'}", "--preprocess", "tf")
INT8 = (*TRAINED, "--calibration-data", IMAGES, "--max-drop", "0.5")

COMMANDS = {
    "fp32": (*FLOAT, "--labels", "imagenet"),
    "fp16": (*SMALL, "--target", "trt-fp16"),
    "fp16, opset 13": (*SMALL, "--target", "jetson-nano-fp16"),
    "int8": (*INT8, "--target", "cpu-int8"),
    "int8 for Arm": (*INT8, "--target", "arm64-int8"),
    "int8 for TensorRT 8": (*INT8, "--target", "jetson-xavier-int8"),
    "int8 for TensorRT, float16 scales": (*INT8, "--target", "trt-int8"),
    "features": (*FLOAT, "--no-top", "--pooling", "avg"),
    "layers": (*FLOAT, "--output-layer", "block_3_expand_relu", "--output-layer", "out_relu"),
    "best classes": (*FLOAT, "--top-k", "3"),
    "nv12, resized": (*FLOAT, "--input-format", "nv12", "--resize", "bilinear"),
    "any batch": (*FLOAT, "--batch", "dynamic"),
    "file": (*TRAINED, "--target", "cpu-fp32", "--labels", f"{DIGITS / 'labels.txt'}"),
}
"""The arguments of `kexport export`, by kind of bundle."""

SUBCLASSED = "subclassed"
"""The kind that the command line cannot export: a subclassed model."""

KINDS = (*COMMANDS, SUBCLASSED)

Hashes = dict[str, dict[str, str]]
"""SHA-256 by kind and file."""


def export_subclassed(bundle: str) -> None:
    """Export a model whose `call` is the user's own, in this process.

    Its trace has a single constant, the axes of the mean: several would be numbered in the order in
    which TensorFlow and tf2onnx leave them, which is not the same in every process. A bias of the
    convolution would be another, the shape to which Keras brings it.
    """
    import keras

    import kexport

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.seen = keras.layers.Conv2D(8, 3, activation="relu", use_bias=False)
            self.read = keras.layers.Dense(10, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.read(keras.ops.mean(self.seen(x), axis=(1, 2)))

    keras.utils.set_random_seed(0)
    model = Own()
    model(np.zeros((1, 32, 32, 3), np.float32))
    recipe = kexport.Recipe(preprocess="none")
    kexport.export(model, target="cpu-fp32", output=bundle, recipe=recipe, batch=1)


def hashes(bundle: Path) -> dict[str, str]:
    """SHA-256 of each file that a bundle has of FILES; NumPy writes no times into golden.npz."""
    found = [bundle / name for name in FILES if (bundle / name).exists()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def save_images(path: Path, count: int = 32) -> None:
    """Save scikit-learn's first digits to calibrate on: uint8 [N, 32, 32, 3], dark on white."""
    from sklearn.datasets import load_digits

    ink = np.kron(load_digits().images[:count], np.ones((1, 4, 4)))
    np.save(path, np.repeat((255 - 15 * ink).astype(np.uint8)[..., None], 3, axis=-1))


def export_once(kind: str, folder: Path) -> dict[str, str]:
    """Export a bundle of one kind in a process of its own, and return its hashes."""
    bundle = folder / f"bundle {KINDS.index(kind)}"
    if kind == SUBCLASSED:
        command = [str(Path(__file__).resolve()), "--subclassed", str(bundle)]
    else:
        command = ["-m", "kexport", "export", *COMMANDS[kind], "--output", str(bundle), "--quiet"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environment(gpu=False), **FIXED},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{kind}: exit status {done.returncode}\n{done.stderr.strip()}")
    return hashes(bundle)


def compared(before: Hashes, after: Hashes) -> Iterator[tuple[str, str, str]]:
    """Yield kind, file and "same" or "DIFFERENT" for every file; a missing file differs."""
    for kind in {**before, **after}:
        old, new = before.get(kind, {}), after.get(kind, {})
        for file in {**old, **new}:
            same = old.get(file) == new.get(file)
            yield kind, file, "same" if same else "DIFFERENT"


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, help="the JSON file to write the hashes to")
    parser.add_argument("--against", type=Path, help="a JSON file of before, to compare with")
    parser.add_argument("--subclassed", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    if asked.subclassed:
        export_subclassed(asked.subclassed)
        return 0
    if not (asked.out or asked.against):
        parser().error("say --out FILE, --against FILE or both")
    before = json.loads(asked.against.read_text(encoding="utf-8")) if asked.against else None
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
    found: Hashes = {}
    with tempfile.TemporaryDirectory() as folder:
        save_images(Path(folder, IMAGES))
        for kind in KINDS:
            print(f"exporting: {kind}", file=sys.stderr, flush=True)
            found[kind] = export_once(kind, Path(folder))
    if asked.out:
        asked.out.write_text(f"{json.dumps(found, indent=2)}\n", encoding="utf-8")
    return 0 if before is None else report(before, found)


def report(before: Hashes, after: Hashes) -> int:
    """Print the table, and return the exit status."""
    rows = list(compared(before, after))
    for kind, file, verdict in rows:
        print(f"{kind:<34} {file:<16} {verdict}")
    different = sum(verdict != "same" for *_, verdict in rows)
    print(f"{different} of {len(rows)} files differ")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())

"""The whole road on a small model: a trained Keras file, its bundle, and digits it never saw.

Exports digits.keras to cpu-fp32, lets the bundle's own run.py label a few pictures, and compares
Keras and the bundle on all 500 digits that training never saw. `python demo.py [FOLDER]` keeps what
it makes in FOLDER, build/demo by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
from digits import Digits, split
from PIL import Image

import kexport

HERE = Path(__file__).resolve().parent
SHADES = " .:-=+*#%@"
SHOWN = 5


def export(folder: Path) -> Path:
    """Export the trained model; return the bundle's folder."""
    bundle = kexport.export(
        HERE / "digits.keras",
        "cpu-fp32",
        output=folder / "digits-cpu-fp32",
        recipe=kexport.Recipe(preprocess="tf"),
        labels=HERE / "labels.txt",
        force=True,
        progress=lambda step: print(f"  {step}", file=sys.stderr),
    )
    return bundle.path


def drawn(picture: np.ndarray) -> str:
    """A picture, uint8 [32, 32, 3], as 16 lines of characters: dark is dense."""
    grey = picture[::2, :].mean(axis=-1)
    levels = ((255 - grey) / 256 * len(SHADES)).astype(int)
    return "\n".join("".join(SHADES[level] for level in row) for row in levels)


def show(bundle: Path, held_out: Digits, folder: Path) -> None:
    """Write a few held-out digits as PNG, draw them, and let the bundle's run.py label them."""
    paths = []
    for index in range(SHOWN):
        path = folder / f"held-out-{index}-is-{held_out.classes[index]}.png"
        Image.fromarray(held_out.pictures[index]).save(path)
        paths.append(str(path))
        print(f"\nheld-out picture {index}, a {held_out.classes[index]}:")
        print(drawn(held_out.pictures[index]))
    print(f"\n$ python {bundle / 'run.py'} -k 2 held-out-*.png", flush=True)
    subprocess.run([sys.executable, bundle / "run.py", "-k", "2", *paths], check=True)


def compare(bundle: Path, held_out: Digits) -> None:
    """Print how many of the held-out digits Keras and the bundle get right, and agree on."""
    model = keras.saving.load_model(HERE / "digits.keras", compile=False)
    prepared = keras.applications.mobilenet.preprocess_input(held_out.pictures.astype(np.float32))
    in_keras = model.predict(prepared, verbose=0).argmax(axis=-1)
    in_bundle = kexport.load(bundle).run(held_out.pictures)["probabilities"].argmax(axis=-1)
    count = len(held_out.classes)
    print(f"\non {count} digits that training never saw")
    for name, classes in (("Keras", in_keras), ("bundle", in_bundle)):
        right = int((classes == held_out.classes).sum())
        print(f"  {name:7} {right} right, {right / count:.1%}")
    print(f"  agree   {int((in_keras == in_bundle).sum())} of {count}")


def main() -> None:
    """Export, label a few pictures, compare on all of them, and print the parity."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")
    folder.mkdir(parents=True, exist_ok=True)
    _, held_out = split()
    bundle = export(folder)
    show(bundle, held_out, folder)
    compare(bundle, held_out)
    print(f"\n{kexport.verify(bundle)}")


if __name__ == "__main__":
    main()

"""Demo: export the digit classifier, run the bundle on held-out digits, compare with Keras.

    python examples/digits/demo.py [FOLDER]

writes a float32 bundle, an int8 bundle and a few images to FOLDER (out/digits by default). It
prints the output of the bundle's own program for these images, the accuracy of Keras and of both
bundles on all 500 held-out images, and the parity table.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from digits import SIZE, Digits, split
from PIL import Image

import kexport

HERE = Path(__file__).resolve().parent
SHOWN = 5
SHADES = " .:-=+*%#@"


def main() -> int:
    """Export, run and compare; return 0 if the bundles are as accurate as Keras.

    The float32 bundle may differ on one image of 500, the int8 bundle may lose one percent.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parents[1] / "out" / "digits")
    train, held_out = split()

    print(f"exporting {HERE.name}/digits.keras to cpu-fp32 and cpu-int8")
    said: dict[str, Any] = {
        "recipe": kexport.Recipe(preprocess="tf"),
        "labels": HERE / "labels.txt",
        "force": True,
    }
    bundle = kexport.export(HERE / "digits.keras", "cpu-fp32", output=folder / "bundle", **said)
    integers = kexport.export(
        HERE / "digits.keras",
        "cpu-int8",
        output=folder / "bundle-int8",
        calibration=kexport.Calibration(data=train.images),
        **said,
    )

    labels = (HERE / "labels.txt").read_text(encoding="utf-8").split()
    shown = first_of_each(held_out)
    names = [labels[digit] for digit in held_out.classes[shown]]
    print(f"\n{SHOWN} of {len(held_out.classes)} held-out digits")
    print("".join(f"{name:<{SIZE // 2 + 2}}" for name in names))
    print(ascii_art(held_out.images[shown]))
    files = write_images(held_out.images[shown], names, folder / "images")
    arguments = ["run.py", "--top-k", "2", *(os.path.relpath(f, bundle.path) for f in files)]
    print(f"\n$ cd {bundle.path}\n$ python {shlex.join(arguments)}", flush=True)
    subprocess.run([sys.executable, *arguments], cwd=bundle.path, check=True)

    keras = accuracy(keras_answers(held_out.images), held_out)
    ours, int8 = (accuracy(answers(made.path, held_out), held_out) for made in (bundle, integers))
    verified = kexport.verify(bundle.path)
    print(f"\naccuracy on {len(held_out.classes)} held-out images")
    print(f"  Keras   {keras:6.1%}   {HERE.name}/digits.keras on preprocess_input(image)")
    print(f"  bundle  {ours:6.1%}   ONNX Runtime on the raw uint8 image")
    print(f"  int8    {int8:6.1%}   the same in int8, calibrated on training images")
    print(f"\n{verified}")
    print(f"\nthe bundle is in {bundle.path}, the int8 bundle in {integers.path}")
    as_good = abs(ours - keras) <= 1 / len(held_out.classes) and keras - int8 <= 0.01
    return 0 if verified.passed and as_good else 1


def first_of_each(digits: Digits) -> list[int]:
    """Return the index of the first 0, the first 2, the first 4, and so on."""
    return [int(np.argmax(digits.classes == digit)) for digit in range(0, 2 * SHOWN, 2)]


def ascii_art(images: np.ndarray) -> str:
    """Draw images side by side with characters: the darker the ink, the denser the character."""
    ink = 1 - images[:, 1::4, ::2].mean(axis=-1) / 255
    letters = np.array(list(SHADES))[np.rint(ink * (len(SHADES) - 1)).astype(int)]
    return "\n".join("  ".join("".join(row) for row in line) for line in letters.swapaxes(0, 1))


def write_images(images: np.ndarray, names: list[str], folder: Path) -> list[Path]:
    """Write uint8 images [N, H, W, 3] as PNG files with the given names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png" for name in names]
    for image, file in zip(images, files, strict=True):
        Image.fromarray(image).save(file)
    return files


def answers(bundle: Path, digits: Digits) -> np.ndarray:
    """Run a bundle on the raw images: [N, 10]."""
    return kexport.load(bundle).run(digits.images)["predictions"]


def keras_answers(images: np.ndarray) -> np.ndarray:
    """Run Keras on the images, preprocessed as in training: [N, 10]."""
    import keras

    model = keras.saving.load_model(HERE / "digits.keras", compile=False)
    inputs = keras.applications.mobilenet.preprocess_input(images.astype(np.float32))
    return np.asarray(model.predict(inputs, verbose=0))


def accuracy(probabilities: np.ndarray, digits: Digits) -> float:
    """Return the top-1 accuracy."""
    return float(np.mean(np.argmax(probabilities, axis=-1) == digits.classes))


if __name__ == "__main__":
    sys.exit(main())

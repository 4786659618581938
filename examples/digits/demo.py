"""Export the digit classifier, then let the bundle read digits that its training never saw.

    python examples/digits/demo.py [FOLDER]

writes the bundle, its int8 form and a few images to FOLDER (out/digits by default), and prints
what the bundle's own program says of them, the accuracy of Keras and of both bundles on all 500
held-out images, and the parity table.
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
    """Export, run and compare; 0 if the bundles are as good as Keras.

    Give or take one image of 500 in float32, and one in a hundred in int8.
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
        calibration_data=train.pictures,
        **said,
    )

    labels = (HERE / "labels.txt").read_text(encoding="utf-8").split()
    shown = first_of_each(held_out)
    names = [labels[digit] for digit in held_out.classes[shown]]
    print(f"\n{SHOWN} of {len(held_out.classes)} digits that the training never saw")
    print("".join(f"{name:<{SIZE // 2 + 2}}" for name in names))
    print(drawn(held_out.pictures[shown]))
    files = write_images(held_out.pictures[shown], names, folder / "pictures")
    arguments = ["run.py", "--top-k", "2", *(os.path.relpath(f, bundle.path) for f in files)]
    print(f"\n$ cd {bundle.path}\n$ python {shlex.join(arguments)}", flush=True)
    subprocess.run([sys.executable, *arguments], cwd=bundle.path, check=True)

    keras = accuracy(keras_answers(held_out.pictures), held_out)
    ours, int8 = (accuracy(answers(made.path, held_out), held_out) for made in (bundle, integers))
    verified = kexport.verify(bundle.path)
    print(f"\nright answers on {len(held_out.classes)} held-out images")
    print(f"  Keras   {keras:6.1%}   {HERE.name}/digits.keras on preprocess_input(image)")
    print(f"  bundle  {ours:6.1%}   ONNX Runtime on the raw uint8 image")
    print(f"  int8    {int8:6.1%}   the same in integers, calibrated on images of the training")
    print(f"\n{verified}")
    print(f"\nthe bundle is in {bundle.path}, and its int8 form in {integers.path}")
    as_good = abs(ours - keras) <= 1 / len(held_out.classes) and keras - int8 <= 0.01
    return 0 if verified.passed and as_good else 1


def first_of_each(digits: Digits) -> list[int]:
    """Where the digits 0, 2, 4, ... stand for the first time."""
    return [int(np.argmax(digits.classes == digit)) for digit in range(0, 2 * SHOWN, 2)]


def drawn(pictures: np.ndarray) -> str:
    """Images side by side in letters: the darker the ink, the heavier the letter."""
    ink = 1 - pictures[:, 1::4, ::2].mean(axis=-1) / 255
    letters = np.array(list(SHADES))[np.rint(ink * (len(SHADES) - 1)).astype(int)]
    return "\n".join("  ".join("".join(row) for row in line) for line in letters.swapaxes(0, 1))


def write_images(pictures: np.ndarray, names: list[str], folder: Path) -> list[Path]:
    """Write uint8 images [N, H, W, 3] as PNG files under the names of what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png" for name in names]
    for picture, file in zip(pictures, files, strict=True):
        Image.fromarray(picture).save(file)
    return files


def answers(bundle: Path, digits: Digits) -> np.ndarray:
    """What a bundle gives for the raw images: [N, 10]."""
    return kexport.load(bundle).run(digits.pictures)["probabilities"]


def keras_answers(pictures: np.ndarray) -> np.ndarray:
    """What Keras gives for the images, preprocessed as at training: [N, 10]."""
    import keras

    model = keras.saving.load_model(HERE / "digits.keras", compile=False)
    inputs = keras.applications.mobilenet.preprocess_input(pictures.astype(np.float32))
    return np.asarray(model.predict(inputs, verbose=0))


def accuracy(probabilities: np.ndarray, digits: Digits) -> float:
    """Share of images whose most probable class is the right one."""
    return float(np.mean(np.argmax(probabilities, axis=-1) == digits.classes))


if __name__ == "__main__":
    sys.exit(main())

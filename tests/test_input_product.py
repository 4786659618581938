"""Every pair of options of the image input, for each precision: proven, and equal to Keras.

The product of all options has thousands of cases. A fault mostly needs two options to meet, so the
cases here have every two values of different options together at least once (pairwise testing:
D. R. Kuhn et al., "Software fault interactions and implications for software testing", 2004).
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from PIL import Image
from support import healthy, keras_answers

from kexport import runtime
from kexport.api import export
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.image_input import DTYPES, FORMATS, LAYOUTS, RESIZES, ImageInput
from kexport.runtime.pixel_formats import SIZE_MULTIPLES, encode
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import draw_images

pytestmark = pytest.mark.slow

SIZE = 12


class Case(NamedTuple):
    """One choice of each option; `channels` are the model's."""

    target: str
    format: str
    resize: str | None
    crop: str | None
    batch: Any
    layout: str
    dtype: str
    channels: int

    @property
    def pixels(self) -> ImageInput:
        return ImageInput(self.format, self.layout, self.dtype, self.resize, self.crop)  # type: ignore[arg-type]

    @property
    def exists(self) -> bool:
        """Whether the options go together."""
        plain = (self.layout, self.dtype) == ("nhwc", "uint8")
        is_bytes = self.format.upper() in SIZE_MULTIPLES
        return (plain or not is_bytes) and (self.resize is not None or self.crop is None)


VALUES = (
    ("cpu-fp32", "cpu-int8", "jetson-orin-int8", "trt-fp16"),
    FORMATS,
    (None, *RESIZES),
    (None, "center"),
    (1, 2, "dynamic"),
    LAYOUTS,
    DTYPES,
    (3, 1),
)

TRIED = 60
"""Cases of which the one with most new pairs is taken. More do not make the list shorter."""


def pairs_of(case: Case) -> set[Any]:
    return set(itertools.combinations(enumerate(case), 2))


def pairwise() -> list[Case]:
    """Return cases in which every two values that go together do so; always the same."""
    every = [case for values in itertools.product(*VALUES) if (case := Case(*values)).exists]
    left = set().union(*map(pairs_of, every))
    rng, chosen = random.Random(0), list[Case]()
    while left:
        (one, value), (other, beside) = min(left, key=repr)
        fitting = [case for case in every if (case[one], case[other]) == (value, beside)]
        some = rng.sample(fitting, min(TRIED, len(fitting)))
        best = max(some, key=lambda case: len(left & pairs_of(case)))
        chosen.append(best)
        left -= pairs_of(best)
    return chosen


def gray_or_colour(channels: int) -> keras.Model:
    x = keras.Input((SIZE, SIZE, channels))
    y = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    y = keras.layers.Conv2D(32, 3, activation="relu")(keras.layers.MaxPooling2D(2)(y))
    y = keras.layers.GlobalAveragePooling2D()(y)
    return healthy(keras.Model(x, keras.layers.Dense(4, name="scores")(y)), "tf")


@pytest.fixture(scope="module")
def models() -> dict[int, keras.Model]:
    return {channels: gray_or_colour(channels) for channels in (1, 3)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Draw images to calibrate on, by their shades.

    Those in grey are drawn as such, like the ones that the bundles are run on: the grey of colours
    has less contrast (a deviation of 50 instead of 66), and int8 calibrated on it clips the rest.
    """
    folders = {shades: tmp_path_factory.mktemp(f"photographs-{shades}") for shades in (1, 3)}
    for shades, folder in folders.items():
        for number, image in enumerate(draw_images(24, 17, 23, channels=shades, seed=7)):
            Image.fromarray(image.squeeze()).save(folder / f"{number:02}.png")
    return folders


@pytest.mark.parametrize("case", pairwise(), ids=lambda case: "-".join(map(str, case)))
def test_a_bundle_is_proven_and_equals_keras(
    models: dict[int, keras.Model], photographs: dict[int, Path], tmp_path: Path, case: Case
) -> None:
    """Run on other images than those of the proof, and in another size where that is free."""
    model, pixels, in_int8 = models[case.channels], case.pixels, "int8" in case.target
    bundle = export(
        model,
        case.target,
        output=tmp_path / "bundle",
        recipe=Recipe(preprocess="tf"),
        image_input=pixels,
        calibration=Calibration(data=photographs[pixels.shades], max_drop=1.0) if in_int8 else None,
        batch=case.batch,
    )
    (entry,) = bundle.manifest["inputs"]
    batch = None if case.batch == "dynamic" else case.batch
    assert (entry["color"], entry["layout"]) == (case.format.upper(), case.layout.upper())
    assert (entry["dtype"], entry["shape"][0]) == (case.dtype, batch)
    measured = bundle.manifest["parity"]["outputs"]
    assert all(row["error"] < 0.05 for name, row in measured.items() if name.startswith("graph:"))
    if in_int8:
        assert bundle.manifest["quantization"]["multiply_adds_int8"] > 0.4
    size = (SIZE, SIZE) if case.resize is None else (18, 28)
    drawn = draw_images(batch or 3, *size, channels=pixels.shades, seed=11)
    raw = np.stack([encode(one, pixels.color, entry["layout"], case.dtype) for one in drawn])
    given = runtime.load(bundle.path).run(raw)["scores"]
    wanted = prepare(decode(raw, pixels, (SIZE, SIZE), case.channels), "tf")
    (answers,) = keras_answers(model, [wanted])
    error = np.abs(given - answers).max() / np.ptp(answers)
    assert error < {"fp32": 1e-5, "fp16": 1e-2, "int8": 0.1}[case.target.rpartition("-")[2]]

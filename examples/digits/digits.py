"""Data set of handwritten digits, drawn as colour images, with a training and a held-out part.

The digits are scikit-learn's copy of the test set of "Optical Recognition of Handwritten Digits"
(E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, CC BY 4.0): 1797 grey images of
8x8 pixels with values 0..16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

SIZE = 32
HELD_OUT = 500
PAPER = (250.0, 244.0, 230.0)
INK = (24.0, 32.0, 96.0)


@dataclass(frozen=True, slots=True)
class Digits:
    """Images, uint8 [N, 32, 32, 3] RGB 0..255, and their classes 0..9, int64 [N]."""

    images: np.ndarray
    classes: np.ndarray


def draw(digit: np.ndarray) -> np.ndarray:
    """Draw one 8x8 digit, 0 paper to 16 ink, in dark blue on cream: uint8 [32, 32, 3], RGB."""
    centres = (np.arange(SIZE) + 0.5) * (8 / SIZE) - 0.5
    rows = np.stack([np.interp(centres, np.arange(8), row) for row in digit])
    ink = np.stack([np.interp(centres, np.arange(8), column) for column in rows.T], axis=1) / 16
    shade = np.array(PAPER) + ink[:, :, None] * (np.array(INK) - np.array(PAPER))
    return np.rint(shade).astype(np.uint8)


def split(seed: int = 0) -> tuple[Digits, Digits]:
    """Shuffle the 1797 digits by `seed`; return 1297 for training and 500 held-out ones."""
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    pictures = np.stack([draw(digit) for digit in data.images[order]])
    classes = data.target[order].astype(np.int64)
    train = Digits(pictures[:-HELD_OUT], classes[:-HELD_OUT])
    held_out = Digits(pictures[-HELD_OUT:], classes[-HELD_OUT:])
    return train, held_out

"""What else is on a fruit stall: a scale with a dial, and the stickers of the growers."""

from __future__ import annotations

import colorsys

import numpy as np
from fruit import Array, grainy, size, table

MOST = 5.0
"""The weight at the end of the dial, in kg."""

PATTERNS = 6


def dial(rng: np.random.Generator) -> tuple[Array, float]:
    """Draw a scale's dial, uint8 RGB [H, W, 3], and return it with the weight in kg, 0 to 5.

    The needle turns clockwise by three quarters, from lower left to lower right.
    """
    height, width = size(rng)
    image = table(rng, height, width)
    radius = min(height, width) * rng.uniform(0.38, 0.47)
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = (x - width / 2) / radius, (y - height / 2) / radius
    weight = float(rng.uniform(0, MOST))
    far = np.hypot(u, v)

    def fill(distance: Array, color: tuple[float, float, float]) -> None:
        cover = np.clip(0.5 - distance * radius, 0, 1)[..., None]
        image[:] += cover * (np.array(color) - image)

    def along(turn: float) -> tuple[Array, Array]:
        return u * np.sin(turn) - v * np.cos(turn), np.abs(u * np.cos(turn) + v * np.sin(turn))

    fill(far - 1, (60, 70, 80))
    fill(far - 0.92, (240, 236, 226))
    for mark in range(11):
        out, side = along(turn_of(mark / 10 * MOST))
        long = 0.72 if mark % 2 == 0 else 0.8
        fill(np.maximum(np.maximum(side - 0.02, long - out), out - 0.88), (40, 40, 40))
    out, side = along(turn_of(weight))
    fill(np.maximum(np.maximum(side - 0.055, -0.15 - out), out - 0.78), (200, 30, 30))
    fill(far - 0.1, (60, 70, 80))
    return grainy(image, 4, rng), weight


def turn_of(weight: float) -> float:
    """Return the needle's turn from upright, clockwise, in radians."""
    return (weight / MOST - 0.5) * 1.5 * np.pi


def sticker(grower: int, rng: np.random.Generator) -> Array:
    """Draw the round sticker of a grower, uint8 RGB [H, W, 3]: always of the same two colours."""
    own = np.random.default_rng(grower)
    hue, pattern = own.uniform(), int(own.integers(PATTERNS))
    colors = [hue, (hue + own.uniform(0.3, 0.7)) % 1]
    ground, mark = (255 * np.array(colorsys.hsv_to_rgb(one, 0.75, 0.85)) for one in colors)
    height, width = size(rng)
    image = table(rng, height, width)
    radius = min(height, width) * rng.uniform(0.36, 0.46)
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = (x - width / 2) / radius, (y - height / 2) / radius
    turn, far = rng.uniform(-0.3, 0.3), np.hypot(u, v)
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    drawn = (
        np.abs(u) - 0.3,
        np.abs(v) - 0.3,
        np.minimum(np.abs(u), np.abs(v)) - 0.2,
        np.abs(far - 0.55) - 0.15,
        far - 0.5,
        u + v,
    )[pattern]
    light = rng.uniform(0.75, 1.15)
    for distance, color in ((far - 1, ground), (np.maximum(drawn, far - 0.9), mark)):
        cover = np.clip(0.5 - distance * radius, 0, 1)[..., None]
        image += cover * (light * color - image)
    return grainy(image, 6, rng)

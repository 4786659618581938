"""Pictures of fruit on a table that the examples train on, drawn with NumPy in many sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("apple", "banana", "pear")
WOOD = (168.0, 134.0, 98.0)
ROT = (70.0, 45.0, 25.0)

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Fruit:
    """A fruit in a picture: its kind, its centre and radius in pixels, its turn in radians."""

    kind: str
    x: float
    y: float
    radius: float
    turn: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels, uint8 RGB [H, W, 3]; a mask [H, W], 0 for table, 1 for KINDS[0]; and the fruits."""

    pixels: Array
    mask: Array
    fruits: tuple[Fruit, ...]


def size(rng: np.random.Generator) -> tuple[int, int]:
    """Draw a height and a width, from 29 to 150 pixels, with an aspect ratio of up to 1.5."""
    area, ratio = rng.uniform(36, 122), rng.uniform(-0.2, 0.2)
    return round(area * np.exp(ratio)), round(area * np.exp(-ratio))


def table(rng: np.random.Generator, height: int, width: int) -> Array:
    """Draw a wooden table, float64 [H, W, 3]: a grain along the boards, and light from one side."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    turn = rng.uniform(0, np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    grain = np.sin(across * rng.uniform(30, 60) + 2 * np.sin(along * rng.uniform(3, 8)))
    light = rng.uniform(0.75, 1.15) + 0.25 * (x - 0.5) * rng.uniform(-1, 1)
    tint = np.array(WOOD) + rng.uniform(-25, 25, 3)
    return (tint + 9 * grain[..., None]) * light[..., None]


def outline(kind: str, u: Array, v: Array) -> Array:
    """Return the signed distance to a fruit's edge, about, at (u, v) in units of its radius."""
    r = np.hypot(u, v)
    if kind == "apple":
        return r - 0.86 + 0.28 * np.exp(-18 * (u * u) - 4 * np.maximum(v + 0.9, 0))
    if kind == "banana":
        return np.maximum(np.hypot(u, v + 0.75) - 1.1, 1.0 - np.hypot(u, v + 1.3))
    belly, neck = np.hypot(u, v - 0.32) - 0.62, np.hypot(u, v + 0.45) - 0.33
    return -np.log(np.exp(-8 * belly) + np.exp(-8 * neck)) / 8


SKINS = {
    "apple": ((190, 30, 40), (150, 170, 60)),
    "banana": ((235, 205, 60), (170, 190, 70)),
    "pear": ((150, 175, 70), (215, 195, 80)),
}
"""Between which colours a fruit is drawn: two kinds may have the same one."""


def paint(image: Array, mask: Array, fruit: Fruit, rng: np.random.Generator) -> None:
    """Paint a fruit on float64 [H, W, 3], lit from above and left, and enter it in the mask."""
    height, width = mask.shape
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = (x - fruit.x) / fruit.radius, (y - fruit.y) / fruit.radius
    shadow = np.clip(0.5 - 2 * (np.hypot(u - 0.15, v - 0.2) - 0.8), 0, 1)
    image *= 1 - 0.25 * shadow[..., None]
    c, s = np.cos(fruit.turn), np.sin(fruit.turn)
    far = outline(fruit.kind, u * c + v * s, v * c - u * s)
    cover = np.clip(0.5 - far * fruit.radius, 0, 1)
    first, second = np.array(SKINS[fruit.kind], float)
    skin = first + rng.uniform() * (second - first)
    light = np.clip(1.0 - 0.35 * (u + v), 0.55, 1.35) * np.clip(0.8 - far, 0.8, 1.2)
    shine = 90 * np.exp(-14 * ((u + 0.3) ** 2 + (v + 0.3) ** 2)) * (fruit.kind != "banana")
    image += cover[..., None] * (skin * light[..., None] + shine[..., None] - image)
    mask[cover >= 0.5] = KINDS.index(fruit.kind) + 1


def spots(image: Array, fruit: Fruit, rng: np.random.Generator) -> None:
    """Paint one to three brown spots on a fruit."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    for _ in range(rng.integers(1, 4)):
        turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
        u = (x - fruit.x) / fruit.radius - far * np.cos(turn)
        v = (y - fruit.y) / fruit.radius - far * np.sin(turn)
        cover = np.clip(2 - np.hypot(u, v) / rng.uniform(0.07, 0.13), 0, 0.8)
        image += cover[..., None] * (np.array(ROT) - image)


def draw(rng: np.random.Generator, kinds: tuple[str, ...], rotten: bool = False) -> Picture:
    """Draw a table with a fruit of each of `kinds`, which overlap little."""
    height, width = size(rng)
    image, mask = table(rng, height, width), np.zeros((height, width), np.uint8)
    fruits: list[Fruit] = []
    short = min(height, width)
    while len(fruits) < len(kinds):
        radius = short * rng.uniform(0.24, 0.34) / max(1, len(kinds)) ** 0.3
        x, y = (rng.uniform(radius, one - radius) for one in (width, height))
        near = (np.hypot(x - f.x, y - f.y) < 0.75 * (radius + f.radius) for f in fruits)
        if not any(near) or rng.uniform() < 0.05:
            turn = rng.uniform(-0.6, 0.6)
            fruits.append(Fruit(kinds[len(fruits)], x, y, radius, turn))
    for fruit in fruits:
        paint(image, mask, fruit, rng)
        if rotten:
            spots(image, fruit, rng)
    return Picture(grainy(image, 4, rng), mask, tuple(fruits))


def grainy(image: Array, noise: float, rng: np.random.Generator) -> Array:
    """Add the noise of a camera, of that standard deviation, and return uint8."""
    noisy = image + rng.normal(0, noise, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

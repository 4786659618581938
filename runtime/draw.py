"""Boxes drawn on their image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .image import pixels
from .segment import voc_palette

if TYPE_CHECKING:
    from PIL.Image import Image

    from .detect import Boxes
    from .image import ImageSource


def drawn(image: ImageSource, boxes: Boxes) -> Image:
    """Return an image, a path or RGB pixels, with a frame and a label for each box."""
    from PIL import Image as pillow
    from PIL import ImageDraw

    picture = pillow.fromarray(pixels(image, (None, None)))
    pen = ImageDraw.Draw(picture)
    width = max(1, round(min(picture.size) / 200))
    for box in boxes.boxes:
        color = voc_palette(box.index % 255 + 2)[-1]
        pen.rectangle((box.left, box.top, box.right, box.bottom), outline=color, width=width)
        text = f"{box.label} {box.score:.2f}"
        inside = max(picture.width - 1 - math.ceil(pen.textbbox((0, 0), text)[2]), 0)
        place = (min(box.left + width, inside), max(box.top - 11, 0))
        pen.rectangle(pen.textbbox(place, text), fill=color)
        pen.text(place, text, fill="white")
    return picture

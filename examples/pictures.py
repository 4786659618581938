"""Draw the picture in an example's README: held-out images above, the answers of its bundle below.

python examples/pictures.py segment
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from compare import EXAMPLES, FILES, HERE, answers, draw, export
from PIL import Image, ImageDraw

HEIGHT, TEXT, GAP, SHOWN = 112, 52, 6, 6
PAPER, INK = "white", "black"


def strip(images: list[Image.Image]) -> Image.Image:
    """Put images of one height side by side."""
    size = sum(one.width + GAP for one in images) - GAP, images[0].height
    whole = Image.new("RGB", size, PAPER)
    left = 0
    for one in images:
        whole.paste(one, (left, 0))
        left += one.width + GAP
    return whole


def scaled(image: Image.Image) -> Image.Image:
    """Return an image in the strip's height."""
    return image.convert("RGB").resize((image.width * HEIGHT // image.height, HEIGHT))


def shown(answer: dict[str, Any], like: Image.Image) -> Image.Image:
    """Return an answer as an image: its file, or its text on paper of the image's width."""
    if "saved" in answer:
        with Image.open(answer["saved"]) as saved:
            return saved.convert("RGB").resize(like.size, Image.Resampling.NEAREST)
    paper = Image.new("RGB", (like.width, TEXT), PAPER)
    ImageDraw.Draw(paper).multiline_text((2, 2), text_of(answer), INK, font_size=13)
    return paper


def text_of(answer: dict[str, Any]) -> str:
    """Return an answer without a file in words."""
    if "numbers" in answer:
        return "\n".join(f"{one['value']:.2f} {one['name']}" for one in answer["numbers"])
    if "neighbours" in answer:
        return "\n".join(Path(one["name"]).stem for one in answer["neighbours"])
    if "decision" in answer:
        return f"{answer['decision']['label']}\n{answer['decision']['score']:.2f}"
    found = answer.get("labels") or answer.get("predictions", [])
    return "\n".join(f"{one['label']} {one['score']:.2f}" for one in found)


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description="Draw the picture of an example's README.")
    parser.add_argument("task", choices=EXAMPLES)
    task = parser.parse_args().task
    out = HERE.parent / "out" / task
    draw(task, out)
    found = answers(task, export(task, "fp32", out), out, save=task in (*FILES, "detect"))
    images = [scaled(Image.open(one["picture"])) for one in found]
    places = [at * len(images) // SHOWN + at for at in range(SHOWN)]
    above = strip([images[place] for place in places])
    below = strip([shown(found[place], images[place]) for place in places])
    whole = Image.new("RGB", (above.width, HEIGHT + GAP + below.height), PAPER)
    whole.paste(above, (0, 0))
    whole.paste(below, (0, HEIGHT + GAP))
    whole.quantize(128).save(HERE / task / "answers.png", optimize=True)


if __name__ == "__main__":
    main()

"""`kexport run`: the answers of a bundle for images."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kexport.cli.command import Command, Option
from kexport.cli.messages import tell, warnings_as_lines

if TYPE_CHECKING:
    from kexport.runtime.answers import Answered


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--top-k",
    "-k",
    cls=Option,
    type=click.IntRange(min=1),
    metavar="K",
    show_default="5, or as many as the bundle outputs",
    help="Number of classes (classify) or neighbours (embed) to print.",
)
@click.option(
    "--threshold",
    cls=Option,
    type=click.FloatRange(0, 1),
    metavar="X",
    show_default="the bundle's",
    help="Least score that means yes (binary, multilabel, segment with one channel, detect).",
)
@click.option(
    "--iou",
    cls=Option,
    type=click.FloatRange(0, 1),
    metavar="X",
    show_default="the bundle's",
    help="Largest overlap of two boxes of one class (detect).",
)
@click.option(
    "--gallery",
    cls=Option,
    metavar="DIR|FILE.npz",
    show_default="no gallery",
    help="Known images, or their vectors, to find the nearest in (embed).",
)
@click.option(
    "--save",
    cls=Option,
    type=click.Path(path_type=Path),
    metavar="DIR",
    show_default="nothing is saved",
    help="Write each answer to a file in this folder: masks and images as .png (segment, image), "
    "the image with its boxes as .png (detect), arrays as .npz (raw).",
)
@click.option(
    "--json", "form", cls=Option, flag_value="json", help="Print the result as one JSON object."
)
@click.option(
    "--jsonl",
    "form",
    cls=Option,
    flag_value="jsonl",
    help="Print a line of JSON for each image, as soon as it is answered.",
)
def run(
    bundle: Path,
    images: tuple[str, ...],
    top_k: int | None,
    threshold: float | None,
    iou: float | None,
    gallery: str | None,
    save: Path | None,
    form: str | None,
) -> int:
    """Answer for each IMAGE with BUNDLE, by its task.

    An IMAGE is a file, a folder of image files, a pattern such as 'shots/*.jpg', or - for a list of
    files on standard input, one a line. With --jsonl it may also be a video file (.mp4, .avi, .mov,
    .mkv, .webm, .m4v) or a camera such as camera:0, which OpenCV reads if it is installed; each
    frame has its number and time. An IMAGE that cannot be read is reported and skipped; the
    exit status is then 15.
    """
    from kexport import runtime
    from kexport.runtime.answers import answers, gallery_at

    found: list[Answered] = []
    status = 0
    with warnings_as_lines():
        session = runtime.load(bundle)
        known = None if gallery is None else gallery_at(session, gallery)
        settings = runtime.Settings(top_k, threshold, known, iou)
        for one in answers(session, images, sys.stdin, settings, save, videos=form == "jsonl"):
            if one.fault is not None:
                tell(str(one.fault), one.fault.hint)
                status = one.fault.exit_code
            if form == "jsonl":
                click.echo(json.dumps(one.entry()))
            else:
                found.append(one)
    if form == "json":
        pictures = [one.entry() for one in found]
        click.echo(json.dumps({"path": str(bundle), "pictures": pictures}, indent=2))
    elif any(one.answer is not None for one in found):
        from kexport.cli.tables.answers import answers_table
        from kexport.cli.tables.table import show

        show(answers_table(found))
    return status

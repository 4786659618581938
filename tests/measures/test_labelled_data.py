"""Labelled data as people have them, and what is said of those that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import boxes, draw, in_class_folders, with_boxes, with_csv, with_partners
from PIL import Image

from kexport.errors import BadArgument
from kexport.measures.examples import Columns, Examples, Folders, Partners
from kexport.measures.tasks import Reading, measure_of, read
from kexport.runtime.task import Task

IMAGES = draw(4, 8, 10)


def reading(task: str, count: int, labels: tuple[str, ...] | None = None) -> Reading:
    return Reading(Task(task, ("y",), threshold=0.5), labels, count)


def test_yes_and_no_are_in_sorted_order_or_named(tmp_path: Path) -> None:
    folder = in_class_folders(tmp_path / "x", IMAGES, ["good", "bad", "good", "bad"])
    examples = read("binary", folder)
    assert examples.files == ("bad/001.png", "bad/003.png", "good/000.png", "good/002.png")
    assert examples.truths == Folders(("bad", "good"), (0, 0, 1, 1))
    for labels, expected in (
        (None, [0, 0, 1, 1]),
        (("good", "bad"), [1, 1, 0, 0]),
        (("bad",), [1, 1, 0, 0]),
    ):
        measure = measure_of(examples, reading("binary", 1, labels), range(4))
        np.testing.assert_array_equal(measure.truths[:, 0], np.array(expected, bool))


def test_columns_go_by_their_names(tmp_path: Path) -> None:
    folder = with_csv(tmp_path / "x", IMAGES, ["sun", "rain"], [[1, 0], [1, 1], [0, 0], [0, 1]])
    examples = read("multilabel", folder)
    assert examples.files == ("000.png", "001.png", "002.png", "003.png")
    assert isinstance(examples.truths, Columns)
    assert examples.truths.names == ("sun", "rain")
    assert read("multilabel", folder / "truth.csv").files == examples.files
    measure = measure_of(examples, reading("multilabel", 2, ("rain", "sun")), range(4))
    np.testing.assert_array_equal(measure.truths, [[0, 1], [1, 1], [0, 0], [1, 0]])


def test_masks_belong_to_images_of_the_same_name(tmp_path: Path) -> None:
    masks = (IMAGES[..., 0] > 100).astype(np.uint8)
    folder = with_partners(tmp_path / "x", IMAGES, masks, "masks")
    (folder / "images" / "003.png").unlink()
    Image.fromarray(IMAGES[3]).save(folder / "images" / "003.jpg")
    examples = read("segment", folder)
    assert examples.files[2:] == ("images/002.png", "images/003.jpg")
    assert isinstance(examples.truths, Partners)
    assert examples.truths.paths[3] == folder / "masks" / "003.png"


def test_boxes_are_left_top_width_and_height(tmp_path: Path) -> None:
    """The model's labels say which class a category is."""
    places = boxes(4, 8, 10)
    examples = read("detect", with_boxes(tmp_path / "x", IMAGES, places))
    assert examples.files == tuple(f"images/{place:03}.png" for place in range(4))
    measure = measure_of(examples, reading("detect", 2, ("other", "thing")), range(4))
    for (top, left, tall, wide), truth in zip(places.tolist(), measure.truths, strict=True):
        assert truth.edges.tolist() == [[left, top, left + wide, top + tall]]
        assert truth.classes.tolist() == [1]
    with pytest.raises(BadArgument, match="the category 'thing' of the labelled boxes is none"):
        measure_of(examples, reading("detect", 2, ("other", "things")), range(4))
    with pytest.raises(BadArgument, match="have 1 categories, and the model 2 classes"):
        measure_of(examples, reading("detect", 2), range(4))


def test_a_sample_of_groups_has_whole_ones(tmp_path: Path) -> None:
    folder = in_class_folders(tmp_path / "x", draw(9, 8, 10), ["a", "b", "c"] * 3)
    some = read("embed", folder).whole_folders(7, seed=0)
    assert len(some.files) == 6
    assert isinstance(some.truths, Folders)
    assert sorted(map(some.truths.places.count, set(some.truths.places))) == [3, 3]
    for file, place in zip(some.files, some.truths.places, strict=True):
        assert file.startswith(some.truths.names[place])


def csv_file(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with_csv(folder, IMAGES, ["sun"], [[1]] * 4)
        (folder / "truth.csv").write_text(text, encoding="utf-8")

    return write


def of_masks(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with_partners(folder, IMAGES, np.ones((4, 8, 10), np.uint8), "masks")
        change(folder)

    return write


def saved(array: np.ndarray, name: str = "masks/001.png") -> Callable[[Path], None]:
    return of_masks(lambda folder: Image.fromarray(array).save(folder / name))


def of_boxes(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        file = with_boxes(folder, IMAGES, boxes(4, 8, 10)) / "annotations.json"
        document = json.loads(file.read_text(encoding="utf-8"))
        text = change(document)
        file.write_text(text if isinstance(text, str) else json.dumps(document), encoding="utf-8")

    return write


WRONG: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no file": ("regress", lambda folder: folder.mkdir(), "needs one CSV file .* and has none"),
    "no header": ("regress", csv_file("file\n000.png\n"), "columns with different names"),
    "no rows": ("regress", csv_file("file,sun\n"), "no row under its header"),
    "no image": ("regress", csv_file("file,sun\n9.png,1\n"), "row 2: there is no file .*9.png"),
    "twice": ("regress", csv_file("file,a\n000.png,1\n000.png,1\n"), "row 3: 000.png has a row"),
    "text": ("regress", csv_file("file,sun\n000.png,many\n"), "row 2: 'many' for 'sun' is no"),
    "short": ("regress", csv_file("file,sun\n000.png\n"), "row 2: 1 cells, and the header has 2"),
    "0.5": ("multilabel", csv_file("file,sun\n000.png,0.5\n"), "0.5 for 'sun' of 000.png is nei"),
    "no masks": ("segment", lambda folder: (folder / "images").mkdir(parents=True), "no folder ma"),
    "lonely image": (
        "segment",
        of_masks(lambda folder: (folder / "masks" / "002.png").unlink()),
        "images/002.png has no counterpart in .*masks",
    ),
    "lonely mask": (
        "segment",
        of_masks(lambda folder: (folder / "images" / "000.png").unlink()),
        "masks/000.png has no counterpart in .*images",
    ),
    "colours": ("segment", saved(IMAGES[0]), "001.png has pixels of mode RGB"),
    "size": ("segment", saved(np.ones((8, 9), np.uint8)), "is 9 x 8 pixels, and its image 10 x 8"),
    "jpeg": (
        "segment",
        of_masks(lambda folder: (folder / "masks" / "001.png").rename(folder / "masks/001.jpg")),
        "001.jpg is no PNG file",
    ),
    "three": (
        "binary",
        lambda folder: in_class_folders(folder, IMAGES, ["a", "b", "c", "a"]),
        "has 3 subfolders, and yes or no needs two",
    ),
    "empty": (
        "binary",
        lambda folder: (
            in_class_folders(folder, IMAGES, ["a"] * 4),
            (folder / "b").mkdir(),
        ),
        "the folder .*b holds no images",
    ),
    "no boxes": ("detect", lambda folder: folder.mkdir(), "no file .*annotations.json"),
    "no JSON": ("detect", of_boxes(lambda document: "[1"), "cannot be read as JSON"),
    "no list": ("detect", of_boxes(lambda document: "{}"), "it has no list of images"),
    "no objects": (
        "detect",
        of_boxes(lambda document: document.update(annotations=[])),
        "it has no annotations",
    ),
    "unknown category": (
        "detect",
        of_boxes(lambda document: document["annotations"][1].update(category_id=8)),
        "the category_id 8, which is none",
    ),
    "unknown image": (
        "detect",
        of_boxes(lambda document: document["annotations"][1].update(image_id=8)),
        "the image_id 8, which is none",
    ),
    "an id that is a list": (
        "detect",
        of_boxes(lambda document: document["annotations"][1].update(image_id=[1])),
        r"the image_id \[1\], which is none",
    ),
    "one id twice": (
        "detect",
        of_boxes(lambda document: [row.update(id=1) for row in document["images"]]),
        "two images or two categories have the id 1",
    ),
    "three numbers": (
        "detect",
        of_boxes(lambda document: document["annotations"][1].update(bbox=[1, 2, 3])),
        "has the bbox .1, 2, 3.",
    ),
    "corners": (
        "detect",
        of_boxes(lambda document: document["annotations"][1].update(bbox=[5, 2, -3, 4])),
        "it is left, top, width and height",
    ),
    "other size": (
        "detect",
        of_boxes(lambda document: document["images"][1].update(width=20)),
        "says that 001.png is 20 x 8 pixels, and it is 10 x 8",
    ),
    "lost image": (
        "detect",
        of_boxes(lambda document: document["images"][1].update(file_name="lost.png")),
        "names the image 'lost.png', and there is no file",
    ),
    "an image twice": (
        "detect",
        of_boxes(lambda document: document["images"][1].update(file_name="000.png")),
        "has the image images/000.png twice",
    ),
    "one group": (
        "embed",
        lambda folder: in_class_folders(folder, IMAGES, ["a"] * 4),
        "do not tell which images belong together",
    ),
    "all alone": (
        "embed",
        lambda folder: in_class_folders(folder, IMAGES, list("abcd")),
        "do not tell which images belong together",
    ),
    "no targets": (
        "image",
        lambda folder: with_partners(folder, IMAGES, IMAGES, "masks"),
        "no folder targets",
    ),
    "another ratio": (
        "image",
        lambda folder: with_partners(folder, IMAGES, draw(4, 8, 8), "targets"),
        "is 8 x 8 pixels, and its image 10 x 8",
    ),
    "raw": ("raw", lambda folder: folder.mkdir(), "the task raw has no measure"),
}


@pytest.mark.parametrize("case", WRONG)
def test_data_that_cannot_be_used_are_refused(case: str, tmp_path: Path) -> None:
    task, write, message = WRONG[case]
    write(tmp_path / "data")
    with pytest.raises(BadArgument, match=message) as caught:
        read(task, tmp_path / "data")
    assert caught.value.hint


def flags(folder: Path) -> Examples:
    return read("regress", with_csv(folder, IMAGES, ["a", "b"], [[1, 5], [2, 5], [3, 5], [4, 5]]))


@pytest.mark.parametrize(
    ("count", "labels", "message"),
    [
        (2, ("a", "c"), "has the column 'b', which is none of the model's labels"),
        (3, ("a", "b", "c"), "has no column 'c', which is one of the model's labels"),
        (3, None, "has 2 columns after the first, and the model gives 3"),
        (2, ("a", "b"), "'b' is the same for all labelled images"),
    ],
)
def test_columns_that_do_not_suit_the_model_are_refused(
    count: int, labels: tuple[str, ...] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=message):
        measure_of(flags(tmp_path / "x"), reading("regress", count, labels), range(4))

"""Lines about what the device does with images, and about the classes that it names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexport.measures.names import title_of, written
from kexport.options.preprocessing import Custom, described

if TYPE_CHECKING:
    from kexport.stages.resizing import ResizeTrial

_RESIZED_LIKE = {
    "tf": "as image_dataset_from_directory and tf.image",
    "pil": "as load_img and Pillow",
    "cv2": "as OpenCV",
}
"""What resizes as the methods of a library do."""

_NAMED_CLASSES = 6
"""Number of classes named, with the last one; labels.txt has all."""


def preprocessing(manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield how images are preprocessed, where, and what says so."""
    for name, row in _images(manifest):
        for line in _preprocessed(row.get("preprocessing", manifest["preprocessing"])):
            yield f"{name}{line}"


def _images(manifest: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield the image inputs; before each its name where it is one of several inputs."""
    rows = manifest["inputs"]
    for row in rows:
        if row["color"] is not None:
            yield (f"{row['name']}: " if len(rows) > 1 else ""), row


def _preprocessed(entry: Mapping[str, Any]) -> Iterable[str]:
    inside = ", ".join(entry.get("layers", ()))
    if inside:
        yield f"preprocessed inside the model, by {inside}"
    if entry["mode"] != "none" or not inside:
        yield _described(entry)
    if "chosen" in entry:
        chosen = entry["chosen"]
        fit = f"as {chosen['images']} labelled images fit it best"
        if "top1" in chosen:
            told = [f"{mode} {share:.1%}" for mode, share in chosen["top1"].items()]
        else:
            name = chosen["measure"]
            told = [f"{mode} {written(name, value)}" for mode, value in chosen["values"].items()]
            fit += f" by {title_of(name)}"
        yield f"{fit}: {', '.join(told)}"


def _described(entry: Mapping[str, Any]) -> str:
    if entry["mode"] != "custom":
        return described(entry["mode"])
    numbers = {name: tuple(entry[name]) for name in ("scale", "mean", "std")}
    return described(Custom(**numbers, bgr=entry["bgr"]))


def resizing(manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield what happens to an image that has not the model's size."""
    for name, row in _images(manifest):
        inside = row.get("preprocessing", manifest["preprocessing"]).get("resize")
        if inside is not None:
            yield f"{name}{inside}, in the graph"
        if "resize" in row:
            method, fit = row["resize"]["method"], row["resize"]["fit"]
            yield f"{name}{method}, {fit}: {_RESIZED_LIKE[method.partition('-')[0]]}"


def tried(trial: "ResizeTrial | None") -> Iterable[str]:
    """Yield how many labelled images Keras has right for each way of resizing, best first."""
    if trial is not None:
        order = sorted(trial.accuracies, key=lambda method: -trial.accuracies[method])
        found = ", ".join(f"{method} {trial.accuracies[method]:.1%}" for method in order)
        yield f"Keras on {trial.images} labelled images: {found}"
        if trial.best != trial.compared:
            yield f"{trial.best} over {trial.compared} by chance: {trial.chance:.1g}"


def classes(path: Path, manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield the number of classes and their first and last labels, in the order of the outputs."""
    from kexport.runtime.labels import NAME  # with it comes numpy

    if NAME not in manifest["files"]:
        return
    labels = (path / NAME).read_text(encoding="utf-8").splitlines()
    shown = labels
    if len(labels) > _NAMED_CLASSES:
        shown = [*labels[: _NAMED_CLASSES - 1], "...", labels[-1]]
    yield f"{len(labels)}: {', '.join(shown)}"
    numbers = [int(label) for label in labels if label.isdecimal()]
    if len(numbers) == len(labels) and numbers != sorted(numbers):
        yield "numbers in the order of text, as Keras sorts folders: compare with training"


def labelled(found: Mapping[str, Any] | None) -> Iterable[str]:
    """Yield how right Keras is on labelled images, with every measure of the task."""
    if found is None:
        return
    low, high = found["interval"]
    if "top1" in found:
        share = f"Keras is right on {found['top1']:.1%} of {found['images']} labelled images"
        yield f"{share} (95 % interval {low:.1%} to {high:.1%})"
        if "bundle" in found:
            yield f"and the bundle on {found['bundle']['value']:.1%}"
        return
    name, value = found["measure"], found["value"]
    ends = f"{written(name, low, unit=False)} to {written(name, high)}"
    yield (
        f"Keras has {title_of(name)} {written(name, value)} on {found['images']} labelled images "
        f"(95 % interval {ends})"
    )
    others = [
        f"{title_of(one)} {written(one, number)}"
        for one, number in found["measures"].items()
        if one != name
    ]
    if others:
        yield f"and {', '.join(others)}"
    if "bundle" in found:
        yield f"the bundle has {title_of(name)} {written(name, found['bundle']['value'])}"

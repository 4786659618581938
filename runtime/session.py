"""Inference sessions: a loaded bundle that takes arrays, or an image to answer for."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from .classes import Classes, all_labels, best_classes, yes_and_no
from .errors import BadInput
from .file_hashes import check_files
from .image import pixels
from .inputs import by_name, fit_inputs
from .labels import Prediction, named, read_labels
from .manifest import Manifest, read_manifest
from .placement import placement_of
from .predict import TOP_K, Answer, Settings, answer, check_settings
from .samples import sample_of
from .select_engine import choose
from .task import LABELLED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .placement import Placement
    from .samples import SampleSource
    from .select_engine import Engine


def load(
    bundle: str | os.PathLike[str],
    *,
    threads: int | None = None,
    check: bool = True,
    engine: str | None = None,
) -> Session:
    """Load the bundle in a folder.

    `threads` is the number of threads within an operation (by default the engine's choice). With
    `check`, the files are first compared with the manifest's list, sizes and SHA-256; without,
    loading is faster and trusts the folder. `engine` is "tensorrt" for engine.plan or "onnxruntime"
    for model.onnx. The default is engine.plan if it has been built and this machine has a GPU for
    it, otherwise model.onnx.

    Raises BundleRefused if the folder, its manifest, a file or the model is invalid, EngineMissing
    if the engine is not installed, BadInput for fewer than 1 thread.
    """
    if threads is not None and threads < 1:
        raise BadInput(f"threads must be 1 or more, not {threads}")
    folder = Path(bundle)
    manifest = read_manifest(folder)
    if check:
        check_files(folder, manifest)
    labels = read_labels(folder, manifest)
    return Session(manifest, choose(folder, manifest, threads, engine), labels)


FREE_BATCH = 32
"""How many images a model with a dynamic batch gets at a time."""

T = TypeVar("T")


class Prepared(NamedTuple):
    """A sample as the model takes it, without the batch axis, and where its image lies in it."""

    sample: dict[str, NDArray[Any]]
    placement: Placement | None


class Session:
    """A model that is ready to run; created by `load`.

    `manifest` is the bundle's manifest, `engine` the engine that runs the model, and `labels` the
    class labels, or None.
    """

    def __init__(
        self, manifest: Manifest, engine: Engine, labels: tuple[str, ...] | None = None
    ) -> None:
        self.manifest = manifest
        self.engine = engine
        self.labels = labels

    def __repr__(self) -> str:
        return f"<Session {self.manifest.model} for {self.manifest.target}: {self.engine.name}>"

    @property
    def batch(self) -> int | None:
        """The model's batch size; None if the batch is free."""
        sizes = {spec.shape[0] for spec in self.manifest.inputs}
        return sizes.pop() if len(sizes) == 1 else None

    def run(
        self, inputs: NDArray[Any] | Mapping[str, NDArray[Any]], *, fill: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Run the model on an array, or on arrays by input name; return its outputs by name.

        The arrays must have exactly the dtype and sizes that the manifest states; for images, the
        default is uint8 [N, H, W, 3], RGB, 0..255. If the model's batch is 1 or free, a single
        sample may lack the batch dimension; its outputs have a batch of 1.

        If the batch is fixed at N, a multiple of N samples is run N at a time and the outputs are
        concatenated. Any other number is refused unless `fill` is set: then the last batch is
        padded with repeated samples, whose outputs are dropped.

        Raises BadInput, which says what was expected and what was given.
        """
        feeds = fit_inputs(inputs, self.manifest.inputs)
        batch = self.batch
        count = len(next(iter(feeds.values())))
        if batch is None or count == batch:
            return self.engine.run(feeds)
        joinable = all(spec.shape[:1] == (batch,) for spec in self.manifest.outputs)
        if not joinable or (count % batch and not fill):
            raise BadInput(
                f"got {count} samples, but the model takes {batch} at a time",
                hint=f"give {'a multiple of ' if joinable else ''}{batch}, "
                "or export with a dynamic batch",
            )
        rows = np.arange(-(-count // batch) * batch) % count
        parts = [
            self.engine.run({name: array[rows[at : at + batch]] for name, array in feeds.items()})
            for at in range(0, len(rows), batch)
        ]
        return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}

    def classify(self, image: SampleSource, top_k: int | None = None) -> list[Prediction]:
        """Classify an image: return the `top_k` best classes (or all, if fewer), best first.

        `image` is a path, a PIL image or a uint8 array [h, w, 3], RGB, of any size. Unless the
        model resizes images itself or takes any size, it is resized as the manifest says
        (`InputSpec.resize`): as for the images that the model was trained on. It is then
        converted to the format, layout and dtype of the model's input. If the format needs even
        sizes, an odd last row or column is cut off.

        A model of several inputs takes a mapping with an image, or an array or nested lists of
        numbers, for each by name: `{"left": "a.jpg", "right": "b.jpg"}`.

        The score is the model's probability, or the softmax of its logits. A model that returns
        its own best classes returns their probabilities or logits as scores; `top_k` is then at
        most the number of these classes. The default is 5, or that number if it is less.

        For the task multilabel the classes are the labels, each with its own score. For the task
        binary they are yes (index 1) and no (index 0), whose scores add up to 1.

        Raises BadImage for an image that is missing or damaged, BadInput if the model takes no
        image or returns no scores or if an argument is invalid, EngineMissing without Pillow.
        """
        return self.classify_all([image], top_k)[0]

    def classify_all(
        self, images: Iterable[SampleSource], top_k: int | None = None
    ) -> list[list[Prediction]]:
        """Classify several images, as many at a time as the model takes; as `classify` for each.

        A model with a dynamic batch gets 32 at a time. For a fixed batch, the last one is filled up
        with repeated images. No more images are decoded than are in a batch. Where a model takes
        images of any size, they must have one size.

        Raises as `classify`; BadInput for images of different sizes.
        """
        if top_k is not None and top_k < 1:
            raise BadInput(f"top_k must be 1 or more, not {top_k}")
        task = self.manifest.task
        if task.name not in LABELLED:
            listed = ", ".join(f"{spec.name} ({spec.kind})" for spec in self.manifest.outputs)
            raise BadInput(
                f"the model returns no class scores: its outputs are {listed}",
                hint=f"use predict(), whose answer is that of the task {task.name}",
            )
        self._check_count(top_k)
        samples = (sample_of(image, self.manifest.inputs) for image in images)
        return [self._classes(outputs, top_k or TOP_K) for outputs in self._each(samples)]

    def predict(self, image: SampleSource, settings: Settings | None = None) -> Answer:
        """Answer by the bundle's task: labels, yes or no, a mask, numbers, or arrays.

        `image` is as for `classify`, and resized in the same way. `settings` changes what the
        bundle has as defaults, such as the threshold. The masks and boxes of a model of several
        images are laid on its first one.

        Raises BadImage, BadInput and EngineMissing, as `classify`; BadInput for a setting that is
        out of range, or that the task has no use for.
        """
        return self.predict_all([image], settings)[0]

    def predict_all(
        self, images: Iterable[SampleSource], settings: Settings | None = None
    ) -> list[Answer]:
        """Answer for several images, in batches as `classify_all`; as `predict` for each.

        Raises as `predict` and `classify_all`.
        """
        chosen = settings or Settings()
        self._check(chosen)
        prepared = (self.prepare(image) for image in images)
        return [one for batch in self._batches(prepared) for one in self.answer(batch, chosen)]

    def prepare(self, image: SampleSource) -> Prepared:
        """Decode an image, or a sample of several inputs, as the model takes it; for `answer`.

        Raises as `predict`.
        """
        if self.manifest.task.name == "classify":
            return Prepared(sample_of(image, self.manifest.inputs), None)
        given, placement = self._placed(image)
        return Prepared(sample_of(given, self.manifest.inputs), placement)

    def answer(
        self, prepared: Sequence[Prepared], settings: Settings | None = None
    ) -> list[Answer]:
        """Answer for images that were decoded before; as `predict_all`.

        Raises as `predict_all`.
        """
        chosen = settings or Settings()
        self._check(chosen)
        outputs = self._each(one.sample for one in prepared)
        return [self._read(of_one, one.placement, chosen) for of_one, one in zip(outputs, prepared)]

    def _check(self, settings: Settings) -> None:
        check_settings(settings, self.manifest.task)
        if self.manifest.task.name == "classify":
            self._check_count(settings.top_k)

    def _read(
        self, outputs: Mapping[str, NDArray[Any]], placement: Placement | None, settings: Settings
    ) -> Answer:
        """Read the outputs of one sample by the task."""
        task = self.manifest.task
        if task.name == "classify":
            return Classes(tuple(self._classes(outputs, settings.top_k or TOP_K)))
        return answer(task, outputs, self.labels, settings, placement)

    def _placed(self, given: SampleSource) -> tuple[Mapping[str, Any], Placement | None]:
        """Return a sample with its first image decoded, and where that lies in the frame."""
        named = by_name(given, self.manifest.inputs)
        source = self.manifest.first_image
        if source is None:
            return named, None
        mode = "GRAY" if source.color == "GRAY" else "RGB"
        decoded = pixels(named[source.name], (None, None), mode, source.resize)
        placement = placement_of(self.manifest, *decoded.shape[:2])
        return {**named, source.name: decoded}, placement

    @property
    def _indices(self) -> str | None:
        """The output with the indices of the best classes, if the model returns these."""
        kinds = {spec.kind: spec.name for spec in self.manifest.outputs}
        return kinds.get("indices")

    def _check_count(self, top_k: int | None) -> None:
        """Refuse more classes than a model returns that picks them itself."""
        if self._indices is None or top_k is None:
            return
        sizes = {spec.name: spec.shape[-1] for spec in self.manifest.outputs}
        given = sizes[self._indices]
        if given is not None and top_k > given:
            raise BadInput(
                f"the model returns its {given} best classes, but {top_k} were requested",
                hint=f"request {given} or fewer, or export with a larger --top-k",
            )

    def _classes(self, outputs: Mapping[str, NDArray[Any]], count: int) -> list[Prediction]:
        """Read the outputs of one sample as at most `count` classes, best first."""
        task = self.manifest.task
        values, logits = outputs[task.output], bool(task.from_logits)
        if self._indices is not None:
            return named(outputs[self._indices], values, self.labels)[:count]
        if task.name == "classify":
            return best_classes(values, logits, self.labels, count)
        read = yes_and_no if task.name == "binary" else all_labels
        return read(values, logits, self.labels)[:count]

    def _batches(self, items: Iterable[T]) -> Iterator[list[T]]:
        """Yield items in lists as long as a batch of the model, the last one shorter."""
        waiting = iter(items)
        while batch := list(islice(waiting, self.batch or FREE_BATCH)):
            yield batch

    def _each(
        self, samples: Iterable[Mapping[str, NDArray[Any]]]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Run the model on samples, the array of each input by name; yield the outputs of each.

        Both are without the batch axis. Raises BadInput for samples of different sizes, and if the
        task reads an output that has no row for each.
        """
        first: Mapping[str, NDArray[Any]] = {}
        for batch in self._batches(samples):
            first = first or batch[0]
            for name, array in first.items():
                other = next((one for one in batch if one[name].shape != array.shape), None)
                if other is not None:
                    sizes = sorted((array.shape, other[name].shape))
                    raise BadInput(
                        f"the images have different sizes: {list(sizes[0])}, {list(sizes[1])}",
                        hint="give images of one size in a call, or one at a time",
                    )
            yield from self._rows(batch)

    def _rows(
        self, samples: Sequence[Mapping[str, NDArray[Any]]]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Run the model on one batch or less, and yield the outputs of each sample."""
        count = len(samples)
        outputs = self.run(
            {name: np.stack([one[name] for one in samples]) for name in samples[0]}, fill=True
        )
        rows = {name: array for name, array in outputs.items() if array.shape[:1] == (count,)}
        for name in self.manifest.task.outputs or outputs:
            if name not in rows:
                raise BadInput(
                    f"the output {name} is {list(outputs[name].shape)}, without a row for each of "
                    f"{count} images",
                    hint="use run(), which takes and returns arrays",
                )
        for row in range(count):
            yield {name: array[row] for name, array in rows.items()}

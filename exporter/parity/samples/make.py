"""Make the samples of a model: images, and the numbers that its other inputs take."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from kexport.arrays import Array
from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.options.by_input import choices, of_input, refuse_unknown
from kexport.options.image_input import ImageInput
from kexport.options.input_image import InputImage
from kexport.options.preprocessing import Settled, SettledByInput, described, fit, is_known
from kexport.options.sampling import Sampling
from kexport.parity.samples import extents, trial
from kexport.parity.samples.count import count_of
from kexport.parity.samples.extents import Shapes
from kexport.parity.samples.images import ImageValues
from kexport.parity.samples.input_values import Values
from kexport.parity.samples.own import InputValues, read_own, require_computed
from kexport.parity.samples.tensors import TensorValues, told
from kexport.parity.samples.uses import uses_of
from kexport.parity.samples.value import Probe, Samples
from kexport.source.clone import channels_last
from kexport.source.image_inputs import ImageSpec, image_specs

MOST_HARD = 16
"""Hard samples in which one input is hard and the others ordinary. If there were more, all inputs
are hard at the same time."""


@dataclass(frozen=True, slots=True)
class _Subject:
    model: keras.Model
    """In a form that Keras computes on a CPU."""
    inputs: tuple[InputValues, ...]
    declared: tuple[tuple[int | str, ...], ...]
    seed: int

    @property
    def images(self) -> tuple[ImageValues, ...]:
        """The inputs that are images."""
        return tuple(one for one in self.inputs if isinstance(one, ImageValues))

    @property
    def discrete(self) -> frozenset[int]:
        """The places of the inputs whose numbers are ids or masks, or mark what is masked."""
        return frozenset(place for place, one in enumerate(self.inputs) if one.discrete)

    def values(self, shapes: Shapes) -> list[Values]:
        """Draw the values of each input that arrive in a shape; the same for the same shapes."""
        rng = np.random.default_rng(self.seed)
        each = list(zip(self.inputs, shapes, strict=True))
        size = sum(one.bytes_of(shape) for one, shape in each)
        count = count_of(size, min(one.fewest(shape) for one, shape in each))
        return [one.values(shape, count, rng) for one, shape in each]

    def arriving(self, shapes: Shapes) -> Shapes:
        """Return the shapes in which samples arrive that have `shapes` in the model."""
        return tuple(one.arriving(shape) for one, shape in zip(self.inputs, shapes, strict=True))

    def prepare(self, raw: Sequence[Array], shapes: Shapes) -> tuple[Array, ...]:
        """Return the samples that arrive in `shapes` as Keras takes them."""
        each = zip(self.inputs, raw, shapes, strict=True)
        return tuple(one.prepare(array, shape) for one, array, shape in each)

    def named(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Return arrays by the names of the inputs."""
        return {one.name: array for one, array in zip(self.inputs, arrays, strict=True)}

    def probe(self, name: str, raw: Sequence[Array], shapes: Shapes) -> Probe:
        """Return the samples that arrive in `shapes` as a probe."""
        return Probe(name, self.named(raw), self.prepare(raw, shapes))


def make(
    model: keras.Model,
    mode: SettledByInput,
    seed: int,
    pixels: ImageInput | Mapping[str, ImageInput] | None = None,
    batch: int | None = 1,
    sampling: Sampling | None = None,
) -> Samples:
    """Draw images, and numbers for other inputs; the same seed gives the same samples.

    If the graph resizes, the images are larger than the model's and of another aspect ratio.

    Args:
        model: a built Keras model.
        mode: the preprocessing of its images; "raw" for what is no image.
        seed: seed of the images and numbers.
        pixels: the images that the graph takes; RGB or grey of the model's size by default.
        batch: the fixed batch of the graph, None if it is open.
        sampling: own samples in the place of ordinary ones, and ranges of numbers.

    Raises:
        BadArgument: the model has no image input to preprocess or decode, or none of a name; the
            format has no images of its size; the model cannot compute the extents chosen for its
            open axes; or own samples do not fit its inputs.
    """
    sampling = sampling or Sampling()
    given = ImageInput() if pixels is None else pixels
    specs = image_specs(model, mode)
    names = [spec.name for spec in specs]
    _refuse_unused(model, names, mode, given)
    images = {spec.place: _image(spec, mode, given, model.name) for spec in specs}
    subject = _subject(channels_last(model), specs, images, seed, sampling.ranges)
    if sampling.samples is None:
        shapes = subject.arriving(_main_shapes(subject))
        values = subject.values(shapes)
    else:
        own = read_own(subject.inputs, subject.declared, sampling.samples, seed)
        subject = replace(subject, inputs=own.inputs)
        shapes = own.shapes
        drawn = subject.values(shapes)
        pairs = zip(own.arrays, drawn, strict=True)
        values = [replace(each, ordinary=array) for array, each in pairs]
        require_computed(subject.model, subject.prepare(own.arrays, shapes))
    ordinary = [each.ordinary for each in values]
    prepared = subject.prepare(ordinary, shapes)
    names, rows = _hard(subject.inputs, values)
    hard = [np.stack(column) for column in zip(*rows, strict=True)]
    of_keras = subject.prepare(hard, shapes)
    faults = trial.faults(subject.model, of_keras, subject.discrete)
    kept = [place for place in range(len(rows)) if place not in faults]

    def joined(own: Sequence[Array], added: Sequence[Array]) -> tuple[Array, ...]:
        pairs = zip(own, added, strict=True)
        return tuple(np.concatenate([one, other[kept]]) for one, other in pairs)

    return Samples(
        subject.named(joined(ordinary, hard)),
        joined(prepared, of_keras),
        tuple(images.values()),
        ordinary=len(ordinary[0]),
        probes=tuple(_probes(subject, ordinary, shapes, batch)),
        left_out=tuple(f"{names[place]}: {reason}" for place, reason in faults.items()),
        own=sampling.samples is not None,
        ranges=sampling.ranges,
        discrete=subject.discrete,
    )


def _refuse_unused(
    model: keras.Model,
    names: Sequence[str],
    mode: SettledByInput,
    pixels: ImageInput | Mapping[str, ImageInput],
) -> None:
    """Refuse a preprocessing or format for which there is no image input."""
    words: tuple[Settled, ...] = choices(mode)
    said = [described(word) for word in words if is_known(word) and word != "none"]
    if names or (not said and all(one == ImageInput() for one in choices(pixels))):
        return
    doing = f"preprocess ({said[0]})" if said else "decode or resize"
    raise BadArgument(
        f"model {model.name!r} has no image input to {doing}",
        hint="leave out `recipe.preprocess` and the options of the image input",
    )


def _image(
    spec: ImageSpec,
    mode: SettledByInput,
    pixels: ImageInput | Mapping[str, ImageInput],
    model: str,
) -> InputImage:
    chosen = of_input(pixels, spec.name) or ImageInput()
    if chosen.resize is not None and not spec.is_sized:
        raise BadArgument(
            f"model {model!r} takes images of any size, so there is no size to resize to",
            hint="leave out `image_input.resize`, or give an Application its `recipe.input_shape`",
        )
    preprocessing: Settled = of_input(mode, spec.name) or "none"
    assert is_known(preprocessing), "image_specs leaves out what is no image"
    fit(preprocessing, spec.channels, model)
    return InputImage(preprocessing, chosen.of_channels(spec.channels), spec.name, spec.place)


def _subject(
    model: keras.Model,
    specs: Sequence[ImageSpec],
    images: Mapping[int, InputImage],
    seed: int,
    ranges: Mapping[str, tuple[float, float]],
) -> _Subject:
    declared, uses = input_specs(model), uses_of(model)
    by_place = {spec.place: spec for spec in specs}
    others = [spec.name for place, spec in enumerate(declared) if place not in images]
    refuse_unknown(ranges, others, "`sampling.ranges`")
    inputs: list[InputValues] = []
    for place, (spec, read) in enumerate(zip(declared, uses, strict=True)):
        if place in images:
            inputs.append(ImageValues(by_place[place], images[place], seed + place))
        else:
            known = told(read, ranges.get(spec.name))
            inputs.append(TensorValues(spec, known, seed + place))
    return _Subject(model, tuple(inputs), tuple(spec.shape for spec in declared), seed)


def _main_shapes(subject: _Subject) -> Shapes:
    """Return the shapes of the samples in the model.

    Raises:
        BadArgument: the model does not compute the extents chosen for its open axes.
    """
    found = extents.main_shapes(subject.declared, _places(subject))
    if not extents.is_open(subject.declared):
        return found[0]
    for shapes in found:
        if trial.fault(subject.model, _first(subject, shapes)[1]) is None:
            return shapes
    trial.require(subject.model, _first(subject, found[0])[1])
    return found[0]


def _places(subject: _Subject) -> tuple[int, ...]:
    return tuple(one.spec.place for one in subject.images)


def _first(subject: _Subject, shapes: Shapes, at: int = 0) -> tuple[list[Array], tuple[Array, ...]]:
    """Draw one ordinary sample that has `shapes` in the model, for both sides."""
    arriving = subject.arriving(shapes)
    rng = np.random.default_rng(subject.seed)
    each = zip(subject.inputs, arriving, strict=True)
    raw = [one.values(shape, at + 1, rng).ordinary[at:] for one, shape in each]
    return raw, subject.prepare(raw, arriving)


def _hard(
    inputs: Sequence[InputValues], values: Sequence[Values]
) -> tuple[list[str], list[list[Array]]]:
    """Return the name of each hard sample, and its arrays: one for each input."""
    first = [each.ordinary[0] for each in values]
    hard = [
        [(f"{one.name} with {name}", array) for name, array in each.hard]
        for one, each in zip(inputs, values, strict=True)
    ]
    if sum(map(len, hard)) <= MOST_HARD:
        alone = [(name, at, array) for at, own in enumerate(hard) for name, array in own]
        rows = [[*first[:at], array, *first[at + 1 :]] for _, at, array in alone]
        return [name for name, _, _ in alone], rows
    together = itertools.zip_longest(*hard)
    names, rows = [], []
    for chosen in together:
        names.append(", ".join(one[0] for one in chosen if one))
        rows.append([one[1] if one else own for one, own in zip(chosen, first, strict=True)])
    return names, rows


def _probes(
    subject: _Subject, raw: Sequence[Array], shapes: Shapes, batch: int | None
) -> Iterator[Probe]:
    """Yield other batches, another order of inputs, and other sizes.

    Args:
        subject: the model and its inputs.
        raw: the ordinary samples.
        shapes: the shapes in which they arrive.
        batch: the fixed batch of the graph, None if it is open.
    """
    for count in (1, 3) if batch is None else ():
        yield subject.probe(f"batch {count}", [array[:count] for array in raw], shapes)
    if len(raw) > 1:
        probe = subject.probe("inputs in reverse order", [array[:1] for array in raw], shapes)
        yield Probe(probe.name, dict(reversed(list(probe.raw.items()))), probe.prepared)
    yield from _resized(subject, raw, shapes)
    yield from _extended(subject, shapes)


def _resized(subject: _Subject, raw: Sequence[Array], shapes: Shapes) -> Iterator[Probe]:
    """Yield probes whose images arrive in other sizes, where the graph resizes them."""
    others = {place: subject.inputs[place].from_other_sizes() for place in _places(subject)}
    rng = np.random.default_rng(subject.seed)
    for at in range(2):
        arriving, given = list(shapes), [array[:1] for array in raw]
        said = []
        for turn, place in enumerate(place for place, found in others.items() if found):
            one, shape = subject.inputs[place], others[place][(at + turn) % 2]
            arriving[place] = shape
            given[place] = one.values(shape, 1, rng).ordinary
            said.append(_size_of(subject, one, shape))
        if said:
            yield subject.probe(", ".join(said), given, tuple(arriving))


def _extended(subject: _Subject, shown: Shapes) -> Iterator[Probe]:
    """Yield probes at other extents of the open axes, where Keras computes them."""
    seen = {shown}
    for group in extents.other_shapes(subject.declared, _places(subject)):
        for shapes in group:
            arriving = subject.arriving(shapes)
            each = zip(subject.inputs, arriving, strict=True)
            if arriving in seen or not all(one.exists(shape) for one, shape in each):
                continue
            raw, prepared = _first(subject, shapes, at=0 if subject.images else 1)
            if trial.fault(subject.model, prepared) is None:
                seen.add(arriving)
                yield Probe(_named(subject, shapes), subject.named(raw), prepared)
                break


def _named(subject: _Subject, shapes: Shapes) -> str:
    """Say in words which extents were chosen for the open axes."""
    images = [
        _size_of(subject, one, shapes[one.spec.place])
        for one in subject.images
        if not one.spec.is_sized
    ]
    others = [place for place, one in enumerate(subject.inputs) if isinstance(one, TensorValues)]
    said = extents.difference(
        [subject.declared[place] for place in others],
        tuple(shapes[place] for place in others),
        [subject.inputs[place].name for place in others],
    )
    return ", ".join([*images, *([said] if said else [])])


def _size_of(subject: _Subject, one: InputValues, shape: tuple[int, ...]) -> str:
    of = f" of {one.name}" if len(subject.inputs) > 1 else ""
    return f"height {shape[0]}, width {shape[1]}{of}"

"""Which range of values each tensor of a model takes on images, for INT8 to cover."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.partitioned import run_in_pieces
from kexport.calibration.execution.session import Batches
from kexport.calibration.progress import Progress
from kexport.calibration.statistics.channels import Channels
from kexport.calibration.statistics.collector import METHODS, RangeCollector, range_of
from kexport.calibration.statistics.histogram import Range
from kexport.errors import BadArgument, UnsupportedModel, did_you_mean
from kexport.graph.shapes import refine_outputs

__all__ = ["METHODS", "Measured", "Range", "measure", "measure_ranges", "range_of"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the tensors of a model hold on images."""

    ranges: dict[str, Range]
    channels: dict[str, Channels]


def measure_ranges(
    model: ir.Model,
    names: Sequence[str],
    images: Array,
    *,
    batch: int,
    method: str,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """The range of each tensor in `names`, as `measure` has it."""
    return measure(model, names, (), images, batch=batch, method=method, progress=progress).ranges


def measure(
    model: ir.Model,
    names: Sequence[str],
    watched: Sequence[str],
    images: Array,
    *,
    batch: int,
    method: str,
    progress: Progress | None = None,
) -> Measured:
    """Run `model` on images, find the range of each tensor in `names`, and watch some channels.

    The smallest and the largest values are found inside the graph, and every method but minmax
    counts about `probes.SAMPLE` values of each tensor, which the graph picks out. It runs piece
    after piece, so that memory is that of one batch and of a few weights, whatever the number of
    images.

    Args:
        model: a float32 model of one input, whose batch is fixed or open.
        names: float32 tensors: the input's, or made by nodes.
        watched: float32 tensors [N, C, ...] made by nodes, whose channels may be scaled later.
        images: what the input takes, [N, ...]; read a batch at a time.
        batch: images at a time where the model leaves the batch open. A fixed batch takes its own
            number, and its last one is filled up with the first images, which do not count twice.
        method: one of `METHODS`.
        progress: called after each batch, with the images done and to do.

    Returns:
        A range for each name; each covers 0, since padding and the grids' zero points need it, and
        none leaves what was measured. And `Channels` of those watched whose size is known.

    Raises:
        BadArgument: an unknown method.
        UnsupportedModel: a tensor takes values that are not numbers, or infinite.
        ValueError: a name that is no float32 tensor of the graph.
        OutputFailed: the folder for temporary files cannot be written.
    """
    if method not in METHODS:
        raise BadArgument(
            f"there is no calibration method {method!r}",
            hint=did_you_mean(method, METHODS) or f"choose one of {', '.join(METHODS)}",
        )
    everything = list(dict.fromkeys([*names, *watched]))
    if not everything:
        return Measured({}, {})
    probed = _of_size(model, images.shape[1:])
    batches = Batches(model, images, batch)
    tallies = [
        RangeCollector(probed.graph, name, method, len(images), watched=name in watched)
        for name in everything
    ]
    made = {value.name: value for value in probed.graph.outputs}
    probed.graph.outputs[:] = [made[name] for tally in tallies for name in tally.outputs]
    for done, pieces, index, found in run_in_pieces(probed, batches):
        here = [tally for tally in tallies if tally.outputs[0] in found]
        strange = {tally.name for tally in here if not tally.add(found, batches.part(index))}
        if strange:
            _refuse(model, strange)
        if progress is not None:
            before = index * batches.size + batches.count(index)
            progress((done * len(images) + before) // pieces, len(images))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ranges = dict(zip(everything, pool.map(RangeCollector.range, tallies), strict=True))
    channels = {tally.name: tally.channels() for tally in tallies}
    return Measured(
        {name: ranges[name] for name in dict.fromkeys(names)},
        {name: found for name, found in channels.items() if found is not None},
    )


def _of_size(model: ir.Model, size: tuple[int, ...]) -> ir.Model:
    """A copy of the model for inputs [N, *size], where it leaves some of that open."""
    sized = model.clone()
    (given,) = sized.graph.inputs
    first = None if given.shape is None else given.shape[0]
    whole = ir.Shape([first, *size])
    if given.shape != whole:
        given.shape, found = whole, {given}
        for node in sized.graph:
            refine_outputs(node, sized.graph.opset_imports[""], found)
    return sized


def _refuse(model: ir.Model, names: set[str]) -> None:
    """Name the first tensor of the graph that is not finite."""
    for node in model.graph:
        for value in node.outputs:
            if value.name in names:
                raise UnsupportedModel(
                    f"the values of {value.name}, which {node.op_type} {node.name!r} makes, are "
                    "not finite on the calibration images (NaN, infinity, or an infinite sum)",
                    hint="check the weights and the preprocessing of the model",
                )
    raise UnsupportedModel(
        f"the input {min(names)} is not finite", hint="calibrate on other inputs"
    )

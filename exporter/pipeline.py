"""The order of the passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import onnx_ir as ir

from kexport.artifact import Artifact, Pass
from kexport.passes.cast_first import cast_first
from kexport.passes.check import check
from kexport.passes.fix_batch import fix_batch
from kexport.passes.fold_before import fold_before
from kexport.passes.fold_behind import fold_behind
from kexport.passes.fold_constants import fold_constants
from kexport.passes.fold_pad import fold_pad
from kexport.passes.fold_repeat import fold_repeat
from kexport.passes.fold_transpose import fold_transpose
from kexport.passes.fuse_gemm import fuse_gemm
from kexport.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from kexport.passes.image_input import image_input
from kexport.passes.infer_shapes import infer_shapes
from kexport.passes.lower_opset import lower_opset
from kexport.passes.merge_reshapes import merge_reshapes
from kexport.passes.order_pools import order_pools
from kexport.passes.share_constants import share_constants
from kexport.passes.spell_batch_norm import spell_batch_norm
from kexport.passes.tidy import tidy
from kexport.passes.to_float16 import to_float16
from kexport.passes.widen_gates import widen_gates
from kexport.pixels import Pixels
from kexport.targets import TensorRT

Progress = Callable[[str], None]

SIMPLIFY: tuple[Pass, ...] = (
    tidy,
    fold_constants,
    fold_transpose,
    merge_reshapes,  # behind fold_transpose, whose leavings it joins
    fold_pad,  # before the folds, which ask whether a convolution is padded
    fuse_hard_sigmoid,  # before fold_behind, which would take the formula apart
    fold_behind,
    fold_before,  # behind fold_behind: what a convolution absorbed is not there to be folded again
    fold_repeat,  # behind fold_before, which brings the repeated channel next to its Conv
    fuse_gemm,  # behind fold_behind, which looks for MatMul
    tidy,
    share_constants,
)
"""What makes any graph smaller and faster without changing what it computes."""


def with_image_input(
    mode: str, batch: int | None, pixels: Pixels | None = None
) -> tuple[Pass, ...]:
    """For an image model: the picture as input, preprocessing inside, a fixed or open batch."""
    return (fix_batch(batch), image_input(mode, pixels), *SIMPLIFY)


def with_tensor_inputs(batch: int | None) -> tuple[Pass, ...]:
    """The graph of any other model, with its inputs as Keras has them."""
    return (fix_batch(batch), *SIMPLIFY)


def for_float32(
    opset: int, rules: TensorRT | None = None, *, blocked: bool = False
) -> tuple[Pass, ...]:
    """From the simplified graph to the one that a float32 target reads.

    `rules` are those of the TensorRT that reads it; `blocked` is `Target.blocked_layout`.
    """
    widened = (widen_gates,) if blocked else ()
    # TensorRT would lose the Relu that it computes with the Conv
    ordered = (order_pools,) if rules is None else ()
    return (*ordered, *widened, *_lowered(opset, rules), infer_shapes, check)


def _lowered(opset: int, rules: TensorRT | None) -> tuple[Pass, ...]:
    if rules is None:
        return (lower_opset(opset),)
    return (lower_opset(opset, frozenset(rules.operators)), cast_first)


BEFORE_FLOAT16: tuple[Pass, ...] = (spell_batch_norm, infer_shapes)
"""What float16 needs of the simplified graph before its values are observed."""


def for_float16(
    opset: int, kept: frozenset[str], rules: TensorRT | None = None
) -> tuple[Pass, ...]:
    """The same for a float16 target; `kept` names the nodes that stay in float32."""
    return (
        to_float16(kept),
        *_lowered(opset, rules),
        infer_shapes,
        tidy,
        share_constants,
        check,
    )


def before_int8(opset: int, rules: TensorRT | None = None) -> tuple[Pass, ...]:
    """What INT8 needs of the simplified graph before its values are measured."""
    return (*_lowered(opset, rules), infer_shapes)


AFTER_INT8: tuple[Pass, ...] = (infer_shapes, tidy, share_constants, check)
"""From the graph with its integers to the one that a target reads."""


def rest_in_float16(kept: frozenset[str]) -> tuple[Pass, ...]:
    """From a graph with its integers to the one whose rest is float16, but for the nodes `kept`."""
    return (to_float16(kept), infer_shapes, tidy, share_constants, check)


def run(model: ir.Model, passes: Sequence[Pass], progress: Progress | None = None) -> Artifact:
    """Run `passes` on a copy of `model`, first to last."""
    return continue_with(Artifact(model), passes, progress)


def continue_with(
    artifact: Artifact, passes: Sequence[Pass], progress: Progress | None = None
) -> Artifact:
    """Run further passes on a copy of an artifact."""
    artifact = replace(artifact, model=artifact.model.clone())
    for change in passes:
        if progress is not None:
            progress(change.__name__)
        artifact = artifact.then(change)
    return artifact

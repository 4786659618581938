"""The order of the passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import onnx_ir as ir

from kexport.graph.passes import Artifact, Pass
from kexport.options.image_input import ImageInput
from kexport.passes.batch_norm_to_mul_add import batch_norm_to_mul_add
from kexport.passes.check_model import check
from kexport.passes.cleanup import deduplicate_initializers, remove_unused
from kexport.passes.convert_float16 import convert_float16
from kexport.passes.convert_opset import convert_opset
from kexport.passes.eliminate_transposes import eliminate_transposes
from kexport.passes.fold_constants import fold_constants
from kexport.passes.fuse_affine_into_conv import fuse_affine_into_conv
from kexport.passes.fuse_conv_affine import fuse_conv_affine
from kexport.passes.fuse_gray_to_rgb_into_conv import fuse_gray_to_rgb_into_conv
from kexport.passes.fuse_hard_swish import fuse_hard_swish
from kexport.passes.fuse_pad_into_conv import fuse_pad_into_conv
from kexport.passes.hoist_uint8_cast import hoist_uint8_cast
from kexport.passes.image_input import image_input
from kexport.passes.infer_shapes import infer_shapes
from kexport.passes.matmul_add_to_gemm import matmul_add_to_gemm
from kexport.passes.merge_reshapes import merge_reshapes
from kexport.passes.resize_se_gates import resize_se_gates
from kexport.passes.set_batch import set_batch
from kexport.passes.swap_pool_and_conv import swap_pool_and_conv
from kexport.targets import TensorRT

Progress = Callable[[str], None]

SIMPLIFY: tuple[Pass, ...] = (
    remove_unused,
    fold_constants,
    eliminate_transposes,
    merge_reshapes,  # after eliminate_transposes, which leaves reshapes side by side
    fuse_pad_into_conv,  # before the folds, which ask whether a convolution is padded
    fuse_hard_swish,  # before fuse_conv_affine, which would take the formula apart
    fuse_conv_affine,
    fuse_affine_into_conv,  # after fuse_conv_affine, so that nothing is folded twice
    fuse_gray_to_rgb_into_conv,  # after fuse_affine_into_conv, which moves the channel to its Conv
    matmul_add_to_gemm,  # after fuse_conv_affine, which looks for MatMul
    remove_unused,
    deduplicate_initializers,
)
"""What makes any graph smaller and faster without changing what it computes."""


def with_image_input(
    mode: str, batch: int | None, pixels: ImageInput | None = None
) -> tuple[Pass, ...]:
    """For an image model: the image as input, preprocessing inside, a fixed or open batch."""
    return (set_batch(batch), image_input(mode, pixels), *SIMPLIFY)


def with_tensor_inputs(batch: int | None) -> tuple[Pass, ...]:
    """The graph of any other model, with its inputs as Keras has them."""
    return (set_batch(batch), *SIMPLIFY)


def for_float32(
    opset: int, rules: TensorRT | None = None, *, blocked: bool = False
) -> tuple[Pass, ...]:
    """From the simplified graph to the one that a float32 target reads.

    `rules` are those of the TensorRT that reads it; `blocked` is `Target.blocked_layout`.
    """
    widened = (resize_se_gates,) if blocked else ()
    # TensorRT would lose the Relu that it computes with the Conv
    ordered = (swap_pool_and_conv,) if rules is None else ()
    return (*ordered, *widened, *_lowered(opset, rules), infer_shapes, check)


def _lowered(opset: int, rules: TensorRT | None) -> tuple[Pass, ...]:
    if rules is None:
        return (convert_opset(opset),)
    return (convert_opset(opset, frozenset(rules.operators)), hoist_uint8_cast)


BEFORE_FLOAT16: tuple[Pass, ...] = (batch_norm_to_mul_add, infer_shapes)
"""What float16 needs of the simplified graph before its values are observed."""


def for_float16(
    opset: int, kept: frozenset[str], rules: TensorRT | None = None
) -> tuple[Pass, ...]:
    """The same for a float16 target; `kept` names the nodes that stay in float32."""
    return (
        convert_float16(kept),
        *_lowered(opset, rules),
        infer_shapes,
        remove_unused,
        deduplicate_initializers,
        check,
    )


def before_int8(opset: int, rules: TensorRT | None = None) -> tuple[Pass, ...]:
    """What INT8 needs of the simplified graph before its values are measured."""
    return (*_lowered(opset, rules), infer_shapes)


AFTER_INT8: tuple[Pass, ...] = (infer_shapes, remove_unused, deduplicate_initializers, check)
"""From the graph with its integers to the one that a target reads."""


def rest_in_float16(kept: frozenset[str]) -> tuple[Pass, ...]:
    """From a graph with its integers to the one whose rest is float16, but for the nodes `kept`."""
    return (convert_float16(kept), infer_shapes, remove_unused, deduplicate_initializers, check)


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

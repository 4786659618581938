"""The one list of passes: which run for a target, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import onnx_ir as ir

from kexport.graph.passes import Artifact, Pass
from kexport.options.input_image import InputImage
from kexport.passes.add_top_k import add_top_k
from kexport.passes.average_pool_to_depthwise_conv import average_pool_to_depthwise_conv
from kexport.passes.batch_norm_to_depthwise_conv import batch_norm_to_depthwise_conv
from kexport.passes.batch_norm_to_mul_add import batch_norm_to_mul_add
from kexport.passes.check_model import check_model
from kexport.passes.cleanup import deduplicate_initializers, remove_unused
from kexport.passes.constant_reshapes import constant_reshapes
from kexport.passes.convert_float16 import convert_float16
from kexport.passes.convert_opset import convert_opset
from kexport.passes.dequantize_for_float_layers import dequantize_for_float_layers
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
from kexport.passes.integer_relu_pad_max import integer_relu_pad_max
from kexport.passes.matmul_add_to_gemm import matmul_add_to_gemm
from kexport.passes.merge_reshapes import merge_reshapes
from kexport.passes.projection_to_matmul import projection_to_matmul
from kexport.passes.quantize_bias import quantize_bias
from kexport.passes.resize_se_gates import resize_se_gates
from kexport.passes.round_input_shift import round_input_shift
from kexport.passes.set_batch import set_batch
from kexport.passes.swap_pool_and_conv import swap_pool_and_conv
from kexport.progress import Progress
from kexport.targets import Precision, Target, TensorRT

PhaseName = Literal[
    "simplify",
    "add best classes",
    "lower",
    "prepare int8",
    "quantize",
    "finish int8",
    "prepare float16",
    "convert to float16",
]
Member = TypeVar("Member")


@dataclass(frozen=True, slots=True)
class GraphFormat:
    """The form of graph that a target reads; by default float32 for any ONNX engine."""

    opset: int = 20
    precision: Precision = "fp32"
    rules: TensorRT | None = None
    """The rules of the TensorRT that reads the graph; None for ONNX Runtime."""
    blocked_layout: bool = False
    """Whether the engine runs convolutions in blocks of channels (NCHWc)."""
    half_rest: bool = False
    """Whether the part of an int8 graph that is not integers is float16."""

    @classmethod
    def of(cls, target: Target) -> GraphFormat:
        """Return the format of a target."""
        return cls(
            target.opset,
            target.precision,
            target.rules,
            target.blocked_layout,
            target.half_rest,
        )


@dataclass(frozen=True, slots=True)
class PassArguments:
    """The arguments of passes: properties of the model, and results of measurements."""

    batch: int | None = None
    """The batch size; None leaves it open."""
    images: tuple[InputImage, ...] = ()
    """Its image inputs; all others stay as Keras has them."""
    top_k: tuple[str, int] | None = None
    """An output of scores, and the number of best classes that replace it."""
    float32_nodes: frozenset[str] = frozenset()
    """Names of the nodes that float16 cannot hold."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A step that runs images through the graph: it is no pass, and calibration/ does it."""

    name: str
    purpose: str


@dataclass(frozen=True, slots=True, init=False)
class Phase:
    """Passes that run one after another, and the measurements among them."""

    name: PhaseName
    members: tuple[Pass | Measurement, ...]

    def __init__(self, name: PhaseName, *members: Pass | Measurement) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "members", members)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes alone."""
        return tuple(member for member in self.members if isinstance(member, Pass))


OBSERVE = Measurement(
    "observe_float16", "Find the nodes whose values float16 cannot hold, on sample images."
)
CALIBRATE = Measurement("calibrate", "Measure the range of every tensor on the calibration images.")
QUANTIZE = Measurement(
    "quantize",
    "Insert QuantizeLinear and DequantizeLinear, and repair until the accuracy holds.",
)


def phases_for(form: GraphFormat, given: PassArguments = PassArguments()) -> tuple[Phase, ...]:
    """Return all phases, from the converted model to the graph that a target reads, in order."""
    fp32, fp16, int8 = (form.precision == name for name in ("fp32", "fp16", "int8"))
    onnxruntime, tensorrt = form.rules is None, form.rules is not None
    to_opset = (
        convert_opset(form.opset)
        if form.rules is None
        else convert_opset(
            form.opset, frozenset(form.rules.operators), frozenset(form.rules.float32_arguments)
        ),
        *when(tensorrt, hoist_uint8_cast),  # TensorRT computes on floats only
    )
    finish = (
        infer_shapes,
        remove_unused,  # after the conversion, which leaves unread initializers
        deduplicate_initializers,  # the scales and constants that it added
        check_model,
    )
    return (
        # 1. Fewer nodes and bytes for any engine, with the same results
        Phase(
            "simplify",
            set_batch(given.batch),  # first: later passes read the batch
            *image_inputs(given),  # before the fusions, which move its Gather, Mul and Add
            remove_unused,  # before the patterns, which count readers
            fold_constants,
            constant_reshapes,  # after fold_constants, which infers the shapes
            eliminate_transposes,
            merge_reshapes,  # after eliminate_transposes, which leaves reshapes side by side
            fuse_pad_into_conv,  # before the fusions, which ask whether a Conv is padded
            fuse_hard_swish,  # before fuse_conv_affine, which would split the formula
            fuse_conv_affine,
            fuse_affine_into_conv,  # after fuse_conv_affine, so that nothing is fused twice
            fuse_gray_to_rgb_into_conv,  # after fuse_affine_into_conv, which moves the shift
            matmul_add_to_gemm,  # after fuse_conv_affine, which matches MatMul
            remove_unused,  # after the fusions, which leave unread initializers
            deduplicate_initializers,  # last: the fusions add constants
        ),
        # 2. Before the conversions, so that TopK is converted too; int8 has it in 9
        *when(not int8, Phase("add best classes", *best_classes(given))),
        # 3. From the simplified graph to the finished one in float32
        *when(
            fp32,
            Phase(
                "lower",
                *when(
                    onnxruntime, swap_pool_and_conv
                ),  # TensorRT would lose the Relu that it fuses with the Conv
                *when(form.blocked_layout, resize_se_gates),
                *to_opset,
                infer_shapes,
                check_model,
            ),
        ),
        # 4. int8: nodes without an integer kernel are rewritten; ranges are measured on this graph
        *when(
            int8,
            Phase(
                "prepare int8",
                *to_opset,
                *when(
                    onnxruntime,
                    infer_shapes,  # the passes below match known channels
                    round_input_shift,  # while the Conv reads the shift, without a pool between
                    batch_norm_to_depthwise_conv,  # those that no Conv took in 1
                    swap_pool_and_conv,
                    average_pool_to_depthwise_conv,  # after swap_pool_and_conv, which matches pools
                ),
                infer_shapes,
            ),
            # 5. Repeated for every repair that calibration/ tries
            Phase(
                "quantize",
                CALIBRATE,
                QUANTIZE,
                *when(
                    onnxruntime,
                    integer_relu_pad_max,
                    quantize_bias,  # ONNX Runtime adds biases as int32, TensorRT as floats
                    dequantize_for_float_layers,  # last: the passes above match DequantizeLinear
                ),
            ),
            # 6. From the quantized graph to the finished one; its opset is the target's since 4
            Phase(
                "finish int8",
                *when(onnxruntime, projection_to_matmul),  # not in 5, which compares layers by name
                *finish,
            ),
        ),
        # 7. float16: its values are observed in the graph that is converted
        *when(
            fp16 or form.half_rest,
            Phase(
                "prepare float16",
                batch_norm_to_mul_add,  # after fuse_conv_affine, which fuses most of them
                infer_shapes,
            ),
            # 8. After observation, which names the nodes that stay in float32
            Phase(
                "convert to float16",
                OBSERVE,
                convert_float16(given.float32_nodes),  # before to_opset, which renames nodes
                *when(fp16, *to_opset),  # an int8 graph has its opset since 4
                *finish,
            ),
        ),
        # 9. int8: last, since accuracy is judged on all scores
        *when(int8, Phase("add best classes", *best_classes(given))),
    )


def passes_for(
    form: GraphFormat, phase: PhaseName, given: PassArguments = PassArguments()
) -> tuple[Pass, ...]:
    """Return the passes of one phase.

    Raises:
        ValueError: the format has no such phase.
    """
    for found in phases_for(form, given):
        if found.name == phase:
            return found.passes
    raise ValueError(f"a graph in {form.precision} has no phase {phase!r}")


def when(condition: bool, *members: Member) -> tuple[Member, ...]:
    """Return `members` if a condition holds, and nothing if not."""
    return members if condition else ()


def image_inputs(given: PassArguments) -> tuple[Pass, ...]:
    """Return the pass that puts preprocessing into the graph, for a model of images."""
    return (image_input(*given.images),) if given.images else ()


def best_classes(given: PassArguments) -> tuple[Pass, ...]:
    """Return the pass that replaces scores by the best classes, if they are requested."""
    return () if given.top_k is None else (add_top_k(*given.top_k),)


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

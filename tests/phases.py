"""Phases of the pipeline in short calls, for tests that run a part of it."""

from kexport.graph.passes import Pass
from kexport.options.image_input import ImageInput
from kexport.options.input_image import InputImage
from kexport.passes.pipeline import GraphFormat, PassArguments, passes_for
from kexport.targets import TensorRT

Passes = tuple[Pass, ...]


def simplify(
    mode: str | None = None, batch: int | None = None, pixels: ImageInput | None = None
) -> Passes:
    """Simplify a model of images with a mode of preprocessing, or any other without."""
    images = () if mode is None else (InputImage(mode, pixels or ImageInput()),)
    return passes_for(GraphFormat(), "simplify", PassArguments(batch, images))


def lower(opset: int, rules: TensorRT | None = None, *, blocked: bool = False) -> Passes:
    """Lower a simplified graph to a float32 target."""
    return passes_for(GraphFormat(opset, "fp32", rules, blocked), "lower")


def to_float16(opset: int, kept: frozenset[str], rules: TensorRT | None = None) -> Passes:
    """Convert an observed graph to float16, with the nodes `kept` in float32."""
    form = GraphFormat(opset, "fp16", rules)
    return passes_for(form, "convert to float16", PassArguments(float32_nodes=kept))


def prepare_int8(opset: int, rules: TensorRT | None = None) -> Passes:
    """Prepare a simplified graph for calibration."""
    return passes_for(GraphFormat(opset, "int8", rules), "prepare int8")


PREPARE_FLOAT16 = passes_for(GraphFormat(precision="fp16"), "prepare float16")
FINISH_INT8 = passes_for(GraphFormat(precision="int8"), "finish int8")

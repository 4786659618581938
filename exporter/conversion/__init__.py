"""Keras model to ONNX: a rule for each layer, tf2onnx for what has none."""

from kexport.conversion.model import Converted, convert_model
from kexport.inputs import InputSpec, input_specs

__all__ = ["Converted", "InputSpec", "convert_model", "input_specs"]

"""Keras model to ONNX: a rule for each layer, tf2onnx for what has none."""

from kexport.conversion.model import Converted, InputSpec, convert_model, input_specs

__all__ = ["Converted", "InputSpec", "convert_model", "input_specs"]

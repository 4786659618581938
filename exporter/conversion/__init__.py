"""Keras model to ONNX: a rule for each layer, tf2onnx for what has none."""

from kexport.conversion.convert import Converted, convert_model
from kexport.keras_graph import InputSpec, input_specs

__all__ = ["Converted", "InputSpec", "convert_model", "input_specs"]

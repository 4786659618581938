"""Conversion of a Keras model to ONNX: a rule for each layer class, tf2onnx for all others."""

from kexport.conversion.convert import Converted, convert_model
from kexport.keras_graph import InputSpec, input_specs

__all__ = ["Converted", "InputSpec", "convert_model", "input_specs"]

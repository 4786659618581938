"""Calibration: what values a model's tensors take on images, and quantization within an accuracy.

result = quantize_with_accuracy_control(model, dataset, scheme, criterion)
"""

from kexport.calibration.accuracy.control import QuantizedModel, quantize_with_accuracy_control
from kexport.calibration.accuracy.criterion import Criterion
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.search import Dataset

__all__ = [
    "Criterion",
    "Dataset",
    "Evaluator",
    "QuantizedModel",
    "quantize_with_accuracy_control",
]

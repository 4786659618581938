"""Run a bundle that kexport wrote: arrays in, arrays out; or pictures in, labels out.

    from kexport.runtime import load      # in a bundle: from runtime import load

    session = load("inception_v3-cpu-fp32")
    session.classify("picture.jpg")       # [Prediction(index=281, label='tabby', score=0.93), ...]
    session.run(images)                   # {"probabilities": float32 [N, 1000]}

Needs NumPy and onnxruntime, and Pillow to open pictures; it imports nothing else of kexport,
because every bundle carries a copy. onnxruntime and Pillow are imported when they are first needed.
Runs on Python 3.8.
"""

from .errors import BadInput, BadPicture, BundleRefused, EngineMissing, RuntimeFault
from .labels import Prediction
from .session import Session, load
from .verify import Verification, verify

__all__ = [
    "BadInput",
    "BadPicture",
    "BundleRefused",
    "EngineMissing",
    "Prediction",
    "RuntimeFault",
    "Session",
    "Verification",
    "load",
    "verify",
]

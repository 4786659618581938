"""The runtime of a bundle: arrays in, arrays out; or an image in, the answer of its task out.

    from kexport.runtime import load      # in a bundle: from runtime import load

    session = load("inception_v3-cpu-fp32")
    session.classify("image.jpg")       # [Prediction(index=281, label='tabby', score=0.93), ...]
    session.predict("image.jpg")        # the answer of the bundle's task, such as Numbers
    session.run(images)                   # {"probabilities": float32 [N, 1000]}

Needs NumPy and onnxruntime, and Pillow to open images. Every bundle carries a copy, so the runtime
imports nothing else of kexport. onnxruntime and Pillow are imported on first use. Runs on Python
3.8.
"""

from .classes import Classes, Decision, LabelSet
from .detect import Box, Boxes
from .embed import Embedding, Gallery, Neighbour, read_gallery
from .errors import BadImage, BadInput, BundleRefused, EngineMissing, RuntimeFault
from .labels import Prediction
from .output_image import OutputImage
from .predict import Settings
from .regress import Number, Numbers, RawOutputs
from .segment import Mask, Share
from .session import Session, load
from .verify import Verification, verify

__all__ = [
    "BadImage",
    "BadInput",
    "Box",
    "Boxes",
    "BundleRefused",
    "Classes",
    "Decision",
    "Embedding",
    "EngineMissing",
    "Gallery",
    "LabelSet",
    "Mask",
    "Neighbour",
    "Number",
    "Numbers",
    "OutputImage",
    "Prediction",
    "RawOutputs",
    "RuntimeFault",
    "Session",
    "Settings",
    "Share",
    "Verification",
    "load",
    "read_gallery",
    "verify",
]

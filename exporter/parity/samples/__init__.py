"""The inputs on which a bundle is compared with Keras."""

from kexport.parity.samples.make import make
from kexport.parity.samples.value import Probe, Samples

__all__ = ["Probe", "Samples", "make"]

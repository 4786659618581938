"""Models that Keras 2 wrote, built in Keras 3.

The configuration is read as JSON. `graph` builds the models from it, `layer_config` translates the
configuration of a layer, `functions` are the TensorFlow functions and layers that Keras 3 has not,
and `weights_h5` and `weights_archive` find the weights of each layer in the file.
"""

from kexport.source.keras2.load import load, version_of

__all__ = ["load", "version_of"]

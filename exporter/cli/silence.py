"""Keep TensorFlow, absl and Keras from talking over the command line's own output."""

import logging
import os
import sys
import warnings


def silence() -> None:
    """Quieten the libraries and choose Keras' backend; call it before any of them is imported.

    TensorFlow announces oneDNN whatever its log level; without oneDNN it has nothing to announce,
    and takes about as long.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    for name in ("absl", "tensorflow", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")

"""Contents of .npy and .npz files, made in memory."""

import io
import zipfile

import numpy as np


def npy(array: np.ndarray) -> bytes:
    """Return the content of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**members: bytes) -> bytes:
    """Return the content of a compressed .npz file, from .npy contents by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()

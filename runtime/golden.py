"""Golden samples: the inputs and expected outputs in golden.npz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import npy, zip
from .errors import BundleRefused
from .manifest import EXPORT_AGAIN, GOLDEN

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .manifest import Manifest

_SUFFIX = ".npy"
_LARGEST = 4 << 30


def arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Parse the content of an .npz file, and return its arrays by name.

    Raises ValueError for other content, and for anything but numeric arrays in C order.
    """
    found = {}
    for member in zip.members(content):
        if not member.name.endswith(_SUFFIX):
            raise ValueError("a member is not a NumPy array")
        found[member.name[: -len(_SUFFIX)]] = npy.parsed(zip.unzipped(content, member))
    return found


def read_golden(bundle: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """Read `<bundle>/golden.npz`.

    Raises BundleRefused if it cannot be read, or has no array for an input or output.
    """
    try:
        golden = arrays(_content(bundle / GOLDEN))
    except OSError as error:
        raise BundleRefused(f"{GOLDEN} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise BundleRefused(f"{GOLDEN} cannot be read: {error}") from error
    except MemoryError as error:
        raise BundleRefused(f"{GOLDEN} cannot be read: out of memory") from error
    outputs = [prefix + spec.name for prefix in manifest.references for spec in manifest.outputs]
    for name in (*(spec.name for spec in manifest.inputs), *outputs):
        if name not in golden:
            raise BundleRefused(f"{GOLDEN} has no array for {name!r}")
    return golden


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _LARGEST:
        raise BundleRefused(f"{GOLDEN} is too large: {size} bytes", hint=EXPORT_AGAIN)
    return path.read_bytes()

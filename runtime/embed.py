"""Embeddings as answers (task embed), and the nearest images of a gallery."""

from __future__ import annotations

import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import npz
from .errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEAREST = 5
"""The default number of neighbours in an answer."""

_HINT = "give a folder of images, or a .npz file with `names` [M] and `vectors` [M, numbers]"


@dataclass(frozen=True)
class Neighbour:
    """An image of the gallery, and the cosine of the angle between its vector and the image's."""

    name: str
    similarity: float


@dataclass(frozen=True)
class Embedding:
    """The vector of an image, float64 [numbers], and the nearest of a gallery, nearest first."""

    vector: NDArray[np.float64]
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the cells of `rows`."""
        return ("neighbour", "similarity") if self.neighbours else ("numbers", "length")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each neighbour; without a gallery the vector's size."""
        if self.neighbours:
            return [(found.name, f"{found.similarity:.4f}") for found in self.neighbours]
        return [(str(self.vector.size), f"{float(np.linalg.norm(self.vector)):.6g}")]

    def entry(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        near = [asdict(found) for found in self.neighbours]
        return {"embedding": self.vector.tolist(), **({"neighbours": near} if near else {})}


@dataclass(frozen=True)
class Gallery:
    """Known images: their names, and their vectors, float64 [M, numbers]."""

    names: tuple[str, ...]
    vectors: NDArray[np.float64]

    def nearest(self, vector: NDArray[np.float64], count: int) -> tuple[Neighbour, ...]:
        """Return the `count` images with the largest cosine, the first of equal ones first.

        Raises BadInput for a vector of another length.
        """
        if vector.shape != self.vectors.shape[1:]:
            raise BadInput(
                f"the gallery has vectors of {self.vectors.shape[1]} numbers, and the model gives "
                f"{vector.size}",
                hint="make the gallery with this bundle",
            )
        lengths = np.linalg.norm(self.vectors, axis=1) * np.linalg.norm(vector)
        products = self.vectors @ vector
        cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        order = np.argsort(-cosines, kind="stable")[:count]
        return tuple(Neighbour(self.names[i], float(cosines[i])) for i in order.tolist())

    def save(self, path: Path) -> None:
        """Write it as .npz, which `read_gallery` reads."""
        npz.write(path, {"names": np.array(self.names), "vectors": self.vectors})


def embedding_of(values: NDArray[Any], gallery: Gallery | None, count: int | None) -> Embedding:
    """Return the vector of one sample, and the `count` nearest of the gallery, if there is one."""
    vector = values.astype(np.float64).ravel()
    near = () if gallery is None else gallery.nearest(vector, count or NEAREST)
    return Embedding(vector, near)


def gallery_of(names: Sequence[str], embeddings: Sequence[Embedding]) -> Gallery:
    """Make a gallery of the embeddings of some images."""
    return Gallery(tuple(names), np.stack([found.vector for found in embeddings]))


def read_gallery(path: Path) -> Gallery:
    """Read a gallery from .npz.

    Raises BadInput for a file that is none.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, vectors = arrays["names"], arrays["vectors"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadInput(f"the gallery {path} cannot be read: {error}", hint=_HINT) from error
    fits = names.ndim == 1 and vectors.ndim == 2 and len(names) == len(vectors)
    if not fits or not vectors.size or vectors.dtype.kind not in "fiu":
        raise BadInput(f"the gallery {path} has no vector for each name", hint=_HINT)
    return Gallery(tuple(map(str, names.tolist())), vectors.astype(np.float64))

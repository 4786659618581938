"""NPZ files: arrays under any names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kexport.runtime import npz


def test_arrays_are_read_again(tmp_path: Path):
    arrays = {
        "file": np.arange(6, dtype=np.int32).reshape(2, 3),
        "allow_pickle": np.ones((0, 4), np.float32),
        "a/b": np.array(["x", "yz"]),
    }
    npz.write(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as found:
        assert found.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def test_the_bytes_are_those_of_numpy(tmp_path: Path):
    arrays = {"x": np.arange(100.0), "y": np.zeros((3, 5), np.uint8)}
    npz.write(tmp_path / "a.npz", arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

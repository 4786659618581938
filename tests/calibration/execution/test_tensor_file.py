"""Full temporary directories: one error for all temporary files."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, room_for

from kexport.calibration.dataset.images import ImageForm, load_images
from kexport.calibration.execution.session import SMALL_BYTES, open_session
from kexport.calibration.execution.tensor_file import IN_MEMORY_BYTES, TensorFile
from kexport.errors import OutputFailed
from kexport.runtime.resize import UNSTATED


def decoded(scratch: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)
    load_images(drawn, ImageForm((4, 4), UNSTATED), limit=20, seed=0, scratch=scratch)


def made(_: Path) -> None:
    parts = TensorFile()
    for _ in range(3):
        parts.append(np.zeros(IN_MEMORY_BYTES // 2, np.uint8))


def graph(_: Path) -> None:
    s, width = Sketch(), SMALL_BYTES // 4 + 1
    held = s.constant("c", np.ones(width, np.float32))
    model: ir.Model = s.model(s.op("Add", s.input("x", [width]), held))
    open_session(model)


@pytest.mark.parametrize("write", [decoded, made, graph])
def test_a_full_folder_is_an_error_with_a_hint(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    with room_for(500), pytest.raises(OutputFailed, match="cannot be written: ") as caught:
        write(tmp_path)
    assert "TMPDIR" in (caught.value.hint or "")
    assert not list(tmp_path.iterdir())
    write(tmp_path)


def test_arrays_in_memory_and_in_the_file_are_read_back_in_order() -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (5, IN_MEMORY_BYTES // 2), np.uint8)
    parts = TensorFile()
    for each in drawn:
        parts.append(each)
    assert len(parts) == 5
    for index in (4, 0, 3, 1, 2):
        assert np.array_equal(parts[index], drawn[index])
    assert [len(part) for part in parts[1:3]] == [drawn.shape[1]] * 2


def test_a_folder_in_which_no_file_can_be_created_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputFailed, match="No space left"):
        TensorFile()

"""kexport.convert and kexport.save_onnx: the ONNX model alone."""

from __future__ import annotations

from pathlib import Path

import keras
import onnx
import pytest
from support import (
    assert_near,
    healthy,
    keras_answers,
    normal,
    onnx_answers,
    room_for,
    small_classifier,
)

from kexport.errors import BadArgument, OutputExists, OutputFailed
from kexport.graph import save
from kexport.onnx_export import convert, save_onnx


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return healthy(small_classifier(), "tf")


def test_convert_equals_keras_with_an_open_batch(model: keras.Model) -> None:
    proto = convert(model)
    onnx.checker.check_model(proto, full_check=True)
    (entry,) = proto.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    assert (entry.name, dims) == ("pixels", ["batch", 24, 24, 3])
    x = normal(3, 24, 24, 3)
    assert_near(onnx_answers(proto, [x], optimise=True), keras_answers(model, [x]))


@pytest.mark.parametrize("external", [False, True])
def test_save_onnx_writes_what_convert_returns(
    model: keras.Model, external: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if external:
        monkeypatch.setattr(save, "EXTERNAL_FROM", 1000)
    path = tmp_path / "model.onnx"
    path.write_text("what was there", encoding="utf-8")
    files = save_onnx(model, path)
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert len(files) == 1 + external
    x = normal(3, 24, 24, 3)
    assert_near(onnx_answers(onnx.load(path), [x], optimise=True), keras_answers(model, [x]))


def test_convert_writes_every_opset(model: keras.Model, tmp_path: Path) -> None:
    save_onnx(model, tmp_path / "m.onnx", opset=13)
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == 13


@pytest.mark.parametrize("opset", [9, 99])
def test_unsupported_opsets_are_refused(model: keras.Model, opset: int, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=f"opset {opset} is not written"):
        convert(model, opset=opset)
    with pytest.raises(BadArgument, match=f"opset {opset} is not written"):
        save_onnx(model, tmp_path / "m.onnx", opset=opset)
    assert not list(tmp_path.iterdir())


def test_a_folder_as_the_path_is_refused(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(OutputExists, match="is a folder"):
        save_onnx(model, tmp_path)


def test_a_full_disk_leaves_the_existing_file(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("before", encoding="utf-8")
    with room_for(4096), pytest.raises(OutputFailed, match=r"m\.onnx cannot be written"):
        save_onnx(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    assert path.read_text(encoding="utf-8") == "before"

"""The ONNX file: complete, valid, deterministic, with weights inside or in a second file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from support import Sketch, assert_near, normal, onnx_answers, snapshot

from kexport.graph import save


@pytest.fixture
def model() -> ir.Model:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 60]), s.constant("w", normal(60, 70)))
    y = s.op("Add", y, s.constant("b", normal(70)))
    y = s.op("Reshape", y, s.constant("shape", [2, 7, 10], np.int64))
    y = s.op("MatMul", y, s.constant("v", normal(10, 40, seed=2)))
    return s.model(y)


def answers(path: Path, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


@pytest.mark.parametrize("external", [False, True])
def test_a_saved_model_reads_back_equal(model: ir.Model, external: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    x = normal(2, 60)
    before = snapshot(model)
    files = save.save(model, path, external=external)
    assert snapshot(model) == before
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert len(files) == 1 + external
    assert external or save.bytes_of(model) == path.stat().st_size
    onnx.checker.check_model(str(path), full_check=True)
    assert_near(answers(path, x), onnx_answers(model, [x]), 1e-6)
    parsed = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    for value in model.graph.initializers.values():
        found = onnx.numpy_helper.to_array(parsed[value.name])
        np.testing.assert_array_equal(found, value.const_value.numpy())


@pytest.mark.parametrize("external", [False, True])
def test_the_same_model_gives_the_same_bytes(
    model: ir.Model, external: bool, tmp_path: Path
) -> None:
    first = [p.read_bytes() for p in save.save(model, tmp_path / "model.onnx", external=external)]
    again = [p.read_bytes() for p in save.save(model, tmp_path / "model.onnx", external=external)]
    assert first == again


def test_external_weights_are_copied_without_mapping(model: ir.Model, tmp_path: Path) -> None:
    beside, _ = save.save(model, tmp_path / "beside.onnx", external=True)
    loaded = ir.load(beside)
    held = [value.const_value for value in loaded.graph.initializers.values()]
    outside = [tensor for tensor in held if isinstance(tensor, ir.ExternalTensor)]
    save.save(loaded, tmp_path / "one.onnx", external=False)
    assert len(outside) == 2
    assert all(tensor.raw is None for tensor in outside)
    x = normal(2, 60)
    found, wanted = answers(tmp_path / "one.onnx", x), answers(beside, x)
    np.testing.assert_array_equal(found, wanted)


def test_external_weights_are_aligned(model: ir.Model, tmp_path: Path) -> None:
    path, data = save.save(model, tmp_path / "model.onnx", external=True)
    proto = onnx.load(path, load_external_data=False)
    outside = [t for t in proto.graph.initializer if t.external_data]
    assert sorted(t.name for t in outside) == ["v", "w"]
    for tensor in outside:
        place = {entry.key: entry.value for entry in tensor.external_data}
        assert place["location"] == data.name
        assert int(place["offset"]) % save.ALIGNMENT == 0
    inside = [t for t in proto.graph.initializer if not t.external_data]
    assert sorted(t.name for t in inside) == ["b", "shape"]


def test_weights_beyond_the_limit_are_external_by_default(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(save.save(model, tmp_path / "one.onnx")) == 1
    monkeypatch.setattr(save, "EXTERNAL_FROM", 10_000)
    assert len(save.save(model, tmp_path / "two.onnx")) == 2


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_]
)
def test_weights_of_every_type_are_saved(dtype: type, tmp_path: Path) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    s = Sketch()
    kept = s.constant("c", values, dtype)
    path = tmp_path / "model.onnx"
    save.save(s.model(s.op("Identity", kept)), path)
    (found,) = onnx_answers(onnx.load(path), [])
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)


def test_weights_are_read_when_they_are_written(tmp_path: Path) -> None:
    reads: list[int] = []

    def read() -> ir.Tensor:
        reads.append(1)
        return ir.Tensor(np.ones((30, 30), np.float32))

    s = Sketch()
    tensor = ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape([30, 30]), name="w")
    lazy = ir.Value(name="w", type=ir.TensorType(tensor.dtype), shape=tensor.shape)
    lazy.const_value = tensor
    s.graph.register_initializer(lazy)
    model = s.model(s.op("MatMul", s.input("x", [1, 30]), lazy))
    assert not reads
    save.save(model, tmp_path / "model.onnx")
    assert reads == [1]

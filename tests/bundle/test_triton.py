"""Triton's model repository: the configuration in Triton's own schema, and the files around it."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_verifiers import Export
from google.protobuf import text_format
from support import healthy, small_classifier

from kexport.errors import BadArgument, OutputExists
from kexport.options.application import Recipe


@pytest.fixture(scope="module")
def schema() -> Any:
    """model_config_pb2 of tritonclient, without the rest of it, which wants its own gRPC."""
    try:
        files = metadata.files("tritonclient") or []
    except metadata.PackageNotFoundError:
        pytest.skip("needs tritonclient: pip install --no-deps tritonclient")
    path = next(file for file in files if str(file) == "tritonclient/grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", str(path.locate()))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def laid_out(export_and_verify: Export) -> Export:
    """Export a small classifier, and return its folder in Triton's model repository."""

    def make(folder: Path, target: str, **about: Any) -> Path:
        labels = folder / "labels"
        labels.write_text("".join(f"class {i}\n" for i in range(10)), encoding="utf-8")
        export_and_verify(
            healthy(small_classifier(), "tf"),
            target,
            output=folder / "bundle",
            recipe=Recipe(preprocess="tf"),
            labels=labels,
            layout_triton=folder / "models",
            **about,
        )
        return folder / "models" / "small"

    return make


def read(schema: Any, model: Path) -> Any:
    text = (model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, schema.ModelConfig())


def test_a_fixed_batch_for_onnx_runtime(laid_out: Export, tmp_path: Path, schema: Any) -> None:
    model = laid_out(tmp_path, "cpu-fp32")
    config = read(schema, model)
    assert (config.name, config.backend, config.max_batch_size) == ("small", "onnxruntime", 0)
    (image,), (scores,) = config.input, config.output
    assert (image.name, list(image.dims)) == ("image", [1, 24, 24, 3])
    assert image.data_type == schema.TYPE_UINT8
    assert image.format == schema.ModelInput.FORMAT_NONE
    assert (scores.name, list(scores.dims)) == ("top", [1, 10])
    assert (scores.data_type, scores.label_filename) == (schema.TYPE_FP32, "labels.txt")
    assert config.instance_group[0].kind == schema.ModelInstanceGroup.KIND_CPU
    assert not config.HasField("dynamic_batching")
    bundle = tmp_path / "bundle"
    assert (model / "1" / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()
    assert (model / "labels.txt").read_bytes() == (bundle / "labels.txt").read_bytes()


def test_the_warm_up_is_the_first_golden_image(
    laid_out: Export, tmp_path: Path, schema: Any
) -> None:
    model = laid_out(tmp_path, "cpu-fp32")
    (warm_up,) = read(schema, model).model_warmup
    value = warm_up.inputs["image"]
    assert (warm_up.batch_size, value.data_type) == (1, schema.TYPE_UINT8)
    content = (model / "warmup" / value.input_data_file).read_bytes()
    image = np.frombuffer(content, np.uint8).reshape(list(value.dims))
    with np.load(tmp_path / "bundle" / "golden.npz") as golden:
        np.testing.assert_array_equal(image, golden["image"][:1])


def test_a_free_batch_for_tensorrt(laid_out: Export, tmp_path: Path, schema: Any) -> None:
    model = laid_out(tmp_path, "trt-fp16", batch="dynamic")
    config = read(schema, model)
    assert (config.backend, config.default_model_filename) == ("tensorrt", "engine.plan")
    assert config.max_batch_size == 32
    assert list(config.input[0].dims) == [24, 24, 3]
    assert config.input[0].format == schema.ModelInput.FORMAT_NHWC
    assert list(config.output[0].dims) == [10]
    assert config.HasField("dynamic_batching")
    assert config.instance_group[0].kind == schema.ModelInstanceGroup.KIND_GPU
    assert list(config.model_warmup[0].inputs["image"].dims) == [24, 24, 3]
    assert list((model / "1").iterdir()) == []


def test_an_existing_model_is_not_touched(laid_out: Export, tmp_path: Path) -> None:
    there = tmp_path / "models" / "small"
    there.mkdir(parents=True)
    with pytest.raises(OutputExists, match="exists already"):
        laid_out(tmp_path, "cpu-fp32")
    assert not (tmp_path / "bundle").exists()
    assert list(there.iterdir()) == []


def test_an_engine_without_a_backend_is_refused(laid_out: Export, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="Triton has no backend for TensorRT for RTX"):
        laid_out(tmp_path, "rtx-fp16")

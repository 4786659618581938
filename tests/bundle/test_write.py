"""The files of a bundle, their manifest entries, and the model's metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cpp_verifiers import Export
from jsonschema import Draft202012Validator
from support import healthy, small_classifier

from kexport.api import Bundle
from kexport.bundle import manifest as entries
from kexport.options.application import Recipe
from kexport.options.image_input import ImageInput


@pytest.fixture(scope="module")
def bundle(export_and_verify: Export, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("emit")
    labels = folder / "names.txt"
    labels.write_text("".join(f"Klasse ä{i}\n" for i in range(10)), encoding="utf-8")
    model = healthy(small_classifier(), "tf")
    recipe = Recipe(preprocess="tf")
    return export_and_verify(model, "trt-fp16", output=folder / "b", recipe=recipe, labels=labels)


def test_every_file_is_in_the_manifest_with_its_hash(bundle: Bundle) -> None:
    listed = bundle.manifest["files"]
    there = {
        path.relative_to(bundle.path).as_posix(): path
        for path in bundle.path.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert set(listed) == set(there)
    assert {"model.onnx", "golden.npz", "labels.txt", "run.py", "runtime/session.py"} <= set(there)
    assert "runtime/run.py" not in there
    own = (Path(__file__).parents[2] / "LICENSE").read_bytes()
    for name in ("runtime/LICENSE", "cpp/LICENSE"):
        assert there[name].read_bytes() == own
    assert {"cpp/README.md", "cpp/CMakeLists.txt", "cpp/src/session.cpp"} <= set(there)
    assert "cpp/programs/verify.cpp" in there
    for name, path in there.items():
        content = path.read_bytes()
        assert listed[name] == {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }


def test_the_manifest_fits_its_schema(bundle: Bundle, root: Path) -> None:
    schema = json.loads((root / "docs" / "manifest.schema.json").read_text(encoding="utf-8"))
    assert not list(Draft202012Validator(schema).iter_errors(bundle.manifest))


def test_the_entries_of_the_manifest(bundle: Bundle) -> None:
    said = bundle.manifest
    assert said["model"]["name"] == "small"
    assert (said["target"]["name"], said["target"]["opset"]) == ("trt-fp16", 17)
    assert said["inputs"] == [
        {
            "name": "image",
            "dtype": "uint8",
            "shape": [1, 24, 24, 3],
            "layout": "NHWC",
            "color": "RGB",
            "range": [0, 255],
            "resize": {"method": "tf-bilinear", "fit": "stretch"},
        }
    ]
    (output,) = said["outputs"]
    assert (output["name"], output["dtype"], output["shape"]) == (
        "top",
        "float32",
        [1, 10],
    )
    assert (output["kind"], output["layer"]) == ("probabilities", "top")
    names = [step["name"] for step in said["steps"]]
    assert (
        names.index("fuse_pad_into_conv")
        < names.index("fuse_conv_affine")
        < names.index("convert_float16")
    )
    assert {"keras", "onnx"} <= set(said["versions"])


def test_metadata_for_other_tools(bundle: Bundle) -> None:
    proto = onnx.load(bundle.path / "model.onnx")
    props = {entry.key: entry.value for entry in proto.metadata_props}
    assert props["Image.BitmapPixelFormat"] == "Rgb8"
    assert props["Image.NominalPixelRange"] == "NominalRange_0_255"
    assert json.loads(props["imgsz"]) == [24, 24]
    assert json.loads(props["batch"]) == 1
    assert props["task"] == "classify"
    assert json.loads(props["names"])["3"] == "Klasse ä3"
    assert json.loads(props["kexport"])["target"]["name"] == "trt-fp16"


def test_golden_arrays(bundle: Bundle) -> None:
    with np.load(bundle.path / "golden.npz", allow_pickle=False) as golden:
        assert sorted(golden) == ["image", "top"]
        assert golden["top"].dtype == np.float32


def value(shape: list[Any], dtype: ir.DataType = ir.DataType.UINT8) -> ir.Value:
    return ir.Value(name="image", type=ir.TensorType(dtype), shape=ir.Shape(shape))


def test_input_entries() -> None:
    grey = entries.input_entry(value(["batch", 8, 8, 1]), ImageInput(format="gray"))
    assert (grey["color"], grey["shape"]) == ("GRAY", [None, 8, 8, 1])
    other = entries.input_entry(value([1, 8], ir.DataType.FLOAT), None)
    assert (other["dtype"], other["layout"], other["color"]) == ("float32", None, None)

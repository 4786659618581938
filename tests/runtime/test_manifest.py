import json
from pathlib import Path

import pytest

from kexport.runtime import BundleRefused
from kexport.runtime.manifest import InputSpec, OutputSpec, read_manifest
from kexport.runtime.manifest_schema import REQUIRED


def test_fields_are_read(bundle: Path):
    manifest = read_manifest(bundle)
    assert (manifest.model, manifest.target, manifest.device) == ("mean_colour", "cpu-fp32", "cpu")
    assert manifest.inputs == (
        InputSpec("image", "uint8", (1, 8, 6, 3), "NHWC", "RGB", (0.0, 255.0)),
    )
    assert manifest.outputs == (
        OutputSpec("probabilities", "float32", (1, 5), "probabilities", "top"),
    )
    assert manifest.tolerances == {"probabilities": 1e-4, "logits": 1e-4}
    assert set(manifest.files) == {*REQUIRED, "labels.txt"}
    assert manifest.data == json.loads((bundle / "manifest.json").read_text())


def test_free_dimensions_are_none(build):
    assert read_manifest(build(batch=None)).inputs[0].shape == (None, 8, 6, 3)


def test_whole_numbers_written_as_floats_become_ints(bundle, rewrite):
    rewrite(bundle, lambda data: data["inputs"][0].update(shape=[1.0, 8, 6, 3.0]))
    shape = read_manifest(bundle).inputs[0].shape
    assert shape == (1, 8, 6, 3)
    assert all(isinstance(size, int) for size in shape)


def refusal(bundle: Path) -> BundleRefused:
    with pytest.raises(BundleRefused) as caught:
        read_manifest(bundle)
    assert caught.value.exit_code == 14
    return caught.value


def test_a_missing_folder(tmp_path: Path):
    fault = refusal(tmp_path / "missing")
    assert str(fault) == f"{tmp_path / 'missing'} is not a folder"
    assert fault.hint == "give the folder that holds manifest.json"


def test_a_file_instead_of_a_folder(bundle: Path):
    assert "is not a folder" in str(refusal(bundle / "model.onnx"))


def test_a_folder_that_is_not_a_bundle(tmp_path: Path):
    assert str(refusal(tmp_path)) == f"{tmp_path} has no manifest.json, so it is not a bundle"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b'{"schema": NaN}', b'{"schema": Infinity}', b"[" * 100_000],
    ids=["empty", "cut off", "not UTF-8", "NaN", "infinity", "too deep"],
)
def test_files_that_are_not_json(bundle: Path, content: bytes):
    (bundle / "manifest.json").write_bytes(content)
    assert "is not valid JSON" in str(refusal(bundle))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "9" * 5000, "1" + "0" * 309])
def test_a_number_too_large_for_a_float(bundle: Path, number: str):
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(
        text.replace('"tolerance": 0.0001', f'"tolerance": {number}')
    )
    assert str(refusal(bundle)).endswith("is not valid JSON: a number is too large")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_file_that_every_bundle_has(bundle: Path, rewrite, name: str):
    rewrite(bundle, lambda data: data["files"].pop(name))
    assert str(refusal(bundle)).endswith(f"manifest.json: files.{name} is missing")


def test_a_manifest_that_is_a_folder(tmp_path: Path):
    (tmp_path / "manifest.json").mkdir()
    assert "cannot be read" in str(refusal(tmp_path))


def test_another_schema_number(bundle, rewrite):
    rewrite(bundle, lambda data: data.update(schema=2))
    fault = refusal(bundle)
    assert str(fault).endswith("has schema 2, but this runtime reads 1")
    assert "runtime/ folder" in str(fault.hint)


def test_the_first_fault_is_named_with_its_file(bundle, rewrite):
    rewrite(bundle, lambda data: data["model"].pop("weights"))
    assert str(refusal(bundle)) == f"{bundle / 'manifest.json'}: model.weights is missing"


@pytest.mark.parametrize("role", ["inputs", "outputs"])
def test_two_tensors_of_one_name(bundle, rewrite, role):
    rewrite(bundle, lambda data: data[role].append(data[role][0]))
    assert "two tensors are named" in str(refusal(bundle))

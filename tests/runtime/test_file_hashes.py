import os
from pathlib import Path

import pytest

from kexport.runtime import BundleRefused, load
from kexport.runtime.engine_record import FILES
from kexport.runtime.file_hashes import LISTED_ONLY, check_files
from kexport.runtime.manifest import read_manifest


def refusal(bundle: Path) -> str:
    with pytest.raises(BundleRefused) as caught:
        load(bundle)
    assert caught.value.hint == "export the model again, or copy the bundle again whole"
    return str(caught.value)


def test_an_intact_bundle(bundle: Path):
    assert check_files(bundle, read_manifest(bundle)) == 5


@pytest.mark.parametrize(
    "name",
    [
        *("onnxruntime.py", "numpy/__init__.py", "notes.txt", ".DS_Store", "build/CMakeCache.txt"),
        *("runtime/json.py", "runtime/errors/__init__.py", "runtime/errors.so", "labels.pyc"),
        *("__pycache__/run.cpython-312.pyc", "runtime/__pycache__/numpy.cpython-312.pyc"),
        *("runtime/__pycache__/__init__.py", "runtime/__pycache__/__init__.pyc"),
        *("runtime/__pycache__/a/__init__.cpython-312.pyc", "deep/manifest.json"),
    ],
)
def test_a_file_that_the_manifest_does_not_list(bundle: Path, name: str):
    path = bundle / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(BundleRefused) as caught:
        load(bundle)
    assert str(caught.value) == f"{name} is in the bundle, but not in manifest.json"
    assert caught.value.hint == LISTED_ONLY
    assert load(bundle, check=False).manifest.model == "mean_colour"


def test_the_first_of_several_unlisted_files_is_named(bundle: Path):
    for name in ("z.py", "b/c.py", "b.py", "a/z.py", "a.py"):
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_bytes(b"")
    with pytest.raises(BundleRefused, match=r"^a\.py is in the bundle, but not in manifest\.json$"):
        load(bundle)


def test_files_that_need_not_be_listed(bundle: Path):
    """What building an engine leaves, bytecode of former versions' run.py, and empty folders."""
    cache = bundle / "runtime" / "__pycache__"
    cache.mkdir()
    (bundle / "empty" / "inside").mkdir(parents=True)
    for path in (cache / "__init__.cpython-312.pyc", cache / "__init__.cpython-38.opt-1.pyc"):
        path.write_bytes(b"")
    for name in FILES:
        (bundle / name).write_bytes(b"")
    assert check_files(bundle, read_manifest(bundle)) == 5


@pytest.mark.parametrize("target", ["runtime", "..", "gone", "run.py"])
def test_a_link_that_is_not_listed(bundle: Path, target: str):
    (bundle / "numpy").symlink_to(target)
    with pytest.raises(BundleRefused, match=r"^numpy is in the bundle, but not in"):
        load(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "golden.npz"])
def test_one_byte_changed(bundle: Path, name: str):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert refusal(bundle) == f"{name} does not match its SHA-256"


def test_a_truncated_model(bundle: Path):
    size = (bundle / "model.onnx").stat().st_size
    os.truncate(bundle / "model.onnx", size - 1)
    fault = refusal(bundle)
    assert fault == f"model.onnx has {size - 1} bytes, and the manifest says {size}"


def test_a_missing_file(bundle: Path):
    (bundle / "labels.txt").unlink()
    assert refusal(bundle) == "labels.txt is missing from the bundle"


def test_a_folder_in_place_of_a_file(bundle: Path):
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").mkdir()
    assert refusal(bundle) == "labels.txt is not a plain file"


def test_a_link_out_of_the_bundle(bundle: Path):
    outside = bundle.parent / "labels.txt"
    (bundle / "labels.txt").rename(outside)
    (bundle / "labels.txt").symlink_to(outside)
    assert refusal(bundle) == "labels.txt leads out of the bundle"


def test_a_linked_folder_out_of_the_bundle(bundle: Path, rewrite):
    outside = bundle.parent / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"")
    (bundle / "inside").symlink_to(outside)
    empty = {
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "bytes": 0,
    }
    rewrite(bundle, lambda data: data["files"].update({"inside/x": empty}))
    assert refusal(bundle) == "inside/x leads out of the bundle"


def test_a_link_to_another_listed_file(bundle: Path, reseal):
    (bundle / "labels.txt").rename(bundle / "names.txt")
    (bundle / "labels.txt").symlink_to("names.txt")
    with pytest.raises(BundleRefused, match=r"^names\.txt is in the bundle, but not in"):
        load(bundle)
    reseal(bundle)
    assert check_files(bundle, read_manifest(bundle)) == 6


def test_a_cycle_of_links(bundle: Path):
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").symlink_to("labels.txt")
    assert "labels.txt" in refusal(bundle)


def test_a_bundle_reached_through_a_link(bundle: Path):
    link = bundle.parent / "link"
    link.symlink_to(bundle)
    assert check_files(link, read_manifest(link)) == 5


def test_unchecked_loading_trusts_the_folder(bundle: Path):
    (bundle / "golden.npz").write_bytes(b"x")
    assert load(bundle, check=False).manifest.model == "mean_colour"

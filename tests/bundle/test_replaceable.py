"""Which files of a folder belong to a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bundles import a_bundle

from kexport.bundle.replaceable import obstacle, remove


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return a_bundle(tmp_path / "bundle")


def add(bundle: Path, name: str) -> Path:
    path = bundle / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


OURS = [
    "engine.plan",
    "engine.json",
    "timing.cache",
    "engine.plan.part",
    "runtime/__pycache__/session.cpython-312.pyc",
]
THEIRS = [
    ".git/config",
    "build/kexport-verify",
    "cpp/build/CMakeCache.txt",
    "notes.txt",
    "runtime/engine.plan",
    "runtime/__pycache__/notes.txt",
    "runtime/__pycache__/other.cpython-312.pyc",
    "__pycache__/session.cpython-312.pyc",
]


@pytest.mark.parametrize("name", OURS)
def test_files_that_kexport_writes_are_removed_with_the_bundle(bundle: Path, name: str) -> None:
    add(bundle, name)
    assert obstacle(bundle) is None
    remove(bundle)
    assert not bundle.exists()


@pytest.mark.parametrize("name", THEIRS)
def test_other_files_are_named_and_kept(bundle: Path, name: str) -> None:
    path = add(bundle, name)
    said = obstacle(bundle)
    assert said is not None
    holds, _, rest = said.removeprefix("holds ").partition(", ")
    assert (bundle / holds) in (path, *path.parents)
    assert rest == "which is not a file of the bundle"
    remove(bundle)
    assert path.read_text() == "mine"
    assert not (bundle / "model.onnx").exists()
    assert (bundle / "manifest.json").exists()


def test_an_empty_folder_is_not_part_of_the_bundle(bundle: Path) -> None:
    (bundle / "later").mkdir()
    assert obstacle(bundle) == "holds later, which is not a file of the bundle"


def test_a_link_in_a_bundle_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    kept = add(tmp_path / "elsewhere", "session.py")
    (bundle / "runtime" / "session.py").unlink()
    (bundle / "runtime").rmdir()
    (bundle / "runtime").symlink_to(kept.parent)
    assert obstacle(bundle) == "holds runtime, which is not a file of the bundle"
    remove(bundle)
    assert kept.read_text() == "mine"


def test_a_damaged_bundle_may_be_replaced(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    (bundle / "runtime" / "session.py").write_text("altered")
    assert obstacle(bundle) is None


@pytest.mark.parametrize(
    "changed", [{"schema": 7}, {"kexport": "9.9"}, {"parity": "of a form that is not known yet"}]
)
def test_a_bundle_of_another_version_may_be_replaced(bundle: Path, changed: dict[str, Any]) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert obstacle(bundle) is None


@pytest.mark.parametrize(
    "content",
    [
        '{"manifest_version": 3, "name": "a web extension"}',
        '{"schema": 1, "kexport": "0.1"}',
        '{"schema": 1, "kexport": "0.1", "files": ["model.onnx"]}',
        '{"schema": 1, "kexport": "0.1", "files": {"a.txt": {}}}',
        '{"schema": true, "kexport": "0.1", "files": {"model.onnx": {}}}',
        '{"schema": 1, "kexport": "0.1", "files": {"model.onnx": {}, "../thesis.txt": {}}}',
        "[" * 100_000,
        "not JSON",
        "\udcff",
        "",
    ],
)
def test_a_manifest_that_is_not_kexports(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "site"
    add(folder, ".git/HEAD")
    (folder / "manifest.json").write_bytes(content.encode(errors="surrogateescape"))
    before = sorted(folder.rglob("*"))
    assert obstacle(folder) == "is not a bundle"
    remove(folder)
    assert sorted(folder.rglob("*")) == before

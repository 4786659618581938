"""The C++ runtime refuses the manifests that Python refuses, in the same words."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kexport.runtime import BundleRefused
from kexport.runtime.manifest import read_manifest

ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 2.0, 1e300, "", "x", "it's", [], {}, [1], {"a": 1})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every path in parsed JSON."""
    yield path
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in children:
            yield from places(child, (*path, key))


def replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(data)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def removed(data: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(data)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return changed


def said_by_python(folder: Path) -> str:
    try:
        read_manifest(folder)
    except BundleRefused as fault:
        return str(fault)
    return "read"


def differing(sanitized, tmp_path: Path, manifests: list[Any]) -> dict[str, str]:
    """Return the messages of Python and C++ that differ, by Python's."""
    folders = []
    for index, manifest in enumerate(manifests):
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        folders.append(folder)
    told = sanitized.run("driver", "manifests", *folders).out.splitlines()
    assert len(told) == len(folders)
    expected = [said_by_python(folder) for folder in folders]
    return {a: b for a, b in zip(expected, told, strict=True) if a != b}


def test_any_value_at_any_path(sanitized, manifest, tmp_path: Path):
    manifest["preprocessing"] |= {"resize": "bilinear", "crop": "center", "size": [8, 6]}
    everywhere = [path for path in places(manifest) if path != ("schema",)]
    assert len(everywhere) > 70
    pairs = itertools.product(everywhere, ODD)
    assert not differing(
        sanitized, tmp_path, [replaced(manifest, *pair) for pair in list(pairs)[::3]]
    )


def test_any_key_missing(sanitized, manifest, tmp_path: Path):
    assert not differing(
        sanitized, tmp_path, [removed(manifest, path) for path in places(manifest) if path]
    )


@pytest.mark.parametrize("kind", ["indices", "scores"])
def test_entries_of_the_best_classes(sanitized, manifest, tmp_path: Path, kind: str):
    output = {**manifest["outputs"][0], "kind": kind}
    ofs = [{"kind": "logits", "classes": 5}, {"kind": "logits"}, {"kind": "tensor", "classes": 5}]
    ofs += [{"kind": "logits", "classes": 0}, 3, None]
    manifests = [{**manifest, "outputs": [{**output, "of": of}]} for of in ofs]
    assert not differing(sanitized, tmp_path, [*manifests, {**manifest, "outputs": [output]}])


@pytest.mark.parametrize("color", ["RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12", "YUYV"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_images(sanitized, manifest, tmp_path: Path, color: str, layout: str):
    entry = {**manifest["inputs"][0], "color": color, "layout": layout}
    shapes = [[1, 8, 6, c] for c in (1, 2, 3, 4)] + [[1, c, 8, 6] for c in (1, 2, 3, 4)] + [[1, 8]]
    assert not differing(
        sanitized,
        tmp_path,
        [{**manifest, "inputs": [{**entry, "shape": shape}]} for shape in shapes],
    )


PATHS = (
    *("a", "a/b", "a.b", "..a", "a..", "...", "ä/ö", " "),
    *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/..", "../a", "a/../b", "a/./b"),
    *("a\\b", "c:a", "a\nb", "a\x00b", "/etc/passwd", "../../etc/passwd"),
)


def test_paths_outside_the_bundle(sanitized, manifest, tmp_path: Path):
    entry = {"sha256": "a" * 64, "bytes": 1}
    files = manifest["files"]
    assert not differing(
        sanitized, tmp_path, [{**manifest, "files": {**files, path: entry}} for path in PATHS]
    )


def test_two_tensors_of_one_name(sanitized, manifest, tmp_path: Path):
    assert not differing(
        sanitized,
        tmp_path,
        [{**manifest, role: manifest[role] * 2} for role in ("inputs", "outputs")],
    )


@pytest.mark.parametrize(("schema", "shown"), [(2, "2"), ("1", "'1'"), (None, "null"), ([], "a ")])
def test_another_schema(sanitized, manifest, tmp_path: Path, schema: Any, shown: str):
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "schema": schema}))
    told = sanitized.run("driver", "manifests", tmp_path).out
    assert f"manifest.json has schema {shown}" in told
    assert told.endswith(", but this runtime reads 1\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"schema": NaN}',
        b'{"schema": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"schema": 1e999}',
        b'"\xed\xa0\x80"',
        b"1 2",
        b"// a comment\n{}",
    ],
    ids=lambda content: content[:8],
)
def test_files_that_are_not_json(sanitized, tmp_path: Path, content: bytes):
    (tmp_path / "manifest.json").write_bytes(content)
    assert "is not valid JSON" in sanitized.run("driver", "manifests", tmp_path).out


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "1e308", "9" * 300, "1e-999"])
def test_numbers_too_large_for_a_float(sanitized, manifest, tmp_path: Path, number: str):
    text = json.dumps(manifest).replace('"tolerance": 0.0001', f'"tolerance": {number}')
    assert number in text
    (tmp_path / "manifest.json").write_text(text)
    told = sanitized.run("driver", "manifests", tmp_path).out
    assert told == f"{said_by_python(tmp_path)}\n"
    assert ("a number is too large" in told) == (number in ("1e999", "-1e999", "9" * 400))


def test_more_dimensions_than_supported(sanitized, manifest, tmp_path: Path):
    manifest["outputs"][0]["shape"] = [1] * 9
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    told = sanitized.run("driver", "manifests", tmp_path).out
    assert "'probabilities' has 9 dimensions, and this runtime takes 8" in told


@pytest.mark.parametrize("size", [2**31, 2**53, 2**63, 2**64, 10**30, 1e308])
def test_sizes_too_large_for_the_memory(sanitized, bundle: Path, rewrite, size):
    def enlarge(data: Any) -> None:
        data["inputs"][0]["shape"][1] = size

    rewrite(bundle, enlarge)
    done = sanitized.run("kexport-verify", bundle)
    assert done.status == 14
    assert "error: input 'image' of model.onnx is uint8 [1, 8, 6, 3], and" in done.err


def test_a_manifest_that_is_a_folder(sanitized, tmp_path: Path):
    (tmp_path / "manifest.json").mkdir()
    assert "cannot be read" in sanitized.run("driver", "manifests", tmp_path).out

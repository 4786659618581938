"""kexport-verify prints the same as Python's `verify`, for intact and for damaged bundles."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_tensorrt import for_tensorrt

from kexport.runtime import BundleRefused, load, verify
from kexport.runtime.terminal import printable
from kexport.runtime.verify import VERIFY_THE_ENGINE

ALL = ("probabilities", "features")


def change_golden(bundle: Path, reseal, **arrays: np.ndarray | None) -> None:
    with np.load(bundle / "golden.npz") as golden:
        content = {**{name: golden[name] for name in golden.files}, **arrays}
    kept = {name: array for name, array in content.items() if array is not None}
    np.savez_compressed(bundle / "golden.npz", **kept)
    reseal(bundle)


def give_graph(bundle: Path, reseal, rewrite, shift: float = 0.0) -> None:
    """Hold a bundle to a graph whose answers are those of Keras, and `shift` more."""

    def allow(manifest):
        rows = manifest["parity"]["outputs"]
        rows |= {f"graph:{name}": {**row, "tolerance": 1e-3} for name, row in rows.items()}

    rewrite(bundle, allow)
    with np.load(bundle / "golden.npz") as golden:
        answers = {f"graph:{name}": golden[name] + np.float32(shift) for name in ALL}
    change_golden(bundle, reseal, **answers)


def agrees(build_of_cpp, bundle: Path) -> int:
    """Assert that the program prints Python's table to the last digit; return the exit status."""
    found = verify(bundle)
    done = build_of_cpp.run("kexport-verify", bundle)
    assert (done.out, done.err) == (f"{found}\n", "")
    assert done.status == (0 if found.passed else 12)
    return done.status


def refused(build_of_cpp, bundle: Path) -> str:
    """Assert that the program refuses the bundle with Python's message; return the message."""
    with pytest.raises(BundleRefused) as caught:
        verify(bundle)
    done = build_of_cpp.run("kexport-verify", bundle)
    hint = f"hint: {caught.value.hint}\n" if caught.value.hint else ""
    assert (done.status, done.out) == (14, "")
    assert done.err == f"error: {printable(str(caught.value))}\n{hint}"
    return done.err


def test_the_build_of_a_user(plain, bundle: Path):
    assert agrees(plain, bundle) == 0


@pytest.mark.parametrize("batch", [1, 2, 3, 8, None])
def test_any_batch(sanitized, build, batch):
    assert agrees(sanitized, build(batch=batch, outputs=ALL)) == 0


def test_outputs_outside_the_tolerances(plain, build, reseal):
    bundle = build(outputs=ALL)
    features = np.load(bundle / "golden.npz")["features"]
    change_golden(bundle, reseal, features=features + 0.5)
    assert agrees(plain, bundle) == 12


@pytest.mark.parametrize("value", [0.0, 0.1, -2.0])
def test_constant_golden_outputs(plain, build, reseal, value):
    bundle = build(outputs=ALL)
    features = np.load(bundle / "golden.npz")["features"]
    change_golden(bundle, reseal, features=np.full_like(features, value))
    assert agrees(plain, bundle) == 12


def test_a_failed_model_onnx_in_an_engines_bundle_warns(plain, build, reseal):
    bundle = build(outputs=ALL, edit=for_tensorrt)
    assert agrees(plain, bundle) == 0
    features = np.load(bundle / "golden.npz")["features"]
    change_golden(bundle, reseal, features=features + 0.5)
    done = plain.run("kexport-verify", bundle)
    assert (done.status, done.err) == (12, f"warning: {VERIFY_THE_ENGINE}\n")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_golden_outputs_that_are_not_finite(sanitized, build, reseal, value):
    bundle = build(outputs=ALL)
    features = np.load(bundle / "golden.npz")["features"]
    features[0, 0] = value
    change_golden(bundle, reseal, features=features)
    assert agrees(sanitized, bundle) == 12


def test_golden_outputs_of_another_shape(sanitized, build, reseal):
    bundle = build(outputs=ALL)
    change_golden(bundle, reseal, features=np.zeros((4, 2), np.float32))
    assert agrees(sanitized, bundle) == 12


def test_golden_outputs_in_float64(plain, bundle: Path, reseal):
    scores = np.load(bundle / "golden.npz")["probabilities"]
    change_golden(bundle, reseal, probabilities=scores.astype(np.float64))
    assert agrees(plain, bundle) == 0


def test_a_golden_file_that_is_not_compressed(plain, bundle: Path, reseal):
    arrays = dict(np.load(bundle / "golden.npz"))
    np.savez(bundle / "golden.npz", **arrays)
    reseal(bundle)
    assert agrees(plain, bundle) == 0


@pytest.mark.parametrize("name", ["image", "probabilities"])
def test_a_missing_golden_array(plain, bundle: Path, reseal, name: str):
    change_golden(bundle, reseal, **{name: None})
    assert f"golden.npz has no array for '{name}'" in refused(plain, bundle)


@pytest.mark.parametrize(("shift", "status"), [(0.0, 0), (0.5, 12)])
def test_outputs_are_compared_with_the_graph_too(sanitized, build, reseal, rewrite, shift, status):
    bundle = build(outputs=ALL)
    give_graph(bundle, reseal, rewrite, shift)
    assert agrees(sanitized, bundle) == status


def test_missing_outputs_of_the_graph_are_refused(plain, build, reseal, rewrite):
    bundle = build(outputs=ALL)
    give_graph(bundle, reseal, rewrite)
    change_golden(bundle, reseal, **{"graph:features": None})
    assert "golden.npz has no array for 'graph:features'" in refused(plain, bundle)


def test_a_missing_tolerance(plain, bundle: Path, rewrite):
    rewrite(bundle, lambda data: data["parity"]["outputs"].pop("logits"))
    assert "states no tolerance for 'logits'" in refused(plain, bundle)


def damage_tampered(bundle: Path) -> None:
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(content)


def damage_truncated(bundle: Path) -> None:
    content = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(content[:-1])


def damage_missing(bundle: Path) -> None:
    (bundle / "labels.txt").unlink()


def damage_folder(bundle: Path) -> None:
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").mkdir()


def damage_link_out(bundle: Path) -> None:
    (bundle / "labels.txt").rename(bundle.parent / "labels.txt")
    (bundle / "labels.txt").symlink_to(bundle.parent / "labels.txt")


def damage_ring(bundle: Path) -> None:
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").symlink_to("labels.txt")


def damage_module(bundle: Path) -> None:
    (bundle / "onnxruntime.py").write_bytes(b"")


def damage_package(bundle: Path) -> None:
    for name in ("numpy/__init__.py", "numpy.py", "a/b/c.py"):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(b"")


def damage_linked_folder(bundle: Path) -> None:
    (bundle / "numpy").symlink_to("runtime")


def damage_bytecode(bundle: Path) -> None:
    cache = bundle / "runtime" / "__pycache__"
    cache.mkdir()
    for name in ("__init__.cpython-312.pyc", "numpy.cpython-312.pyc"):
        (cache / name).write_bytes(b"")


def damage_bytecode_without_a_tag(bundle: Path) -> None:
    (bundle / "runtime" / "__pycache__").mkdir()
    (bundle / "runtime" / "__pycache__" / "__init__.pyc").write_bytes(b"")


def damage_golden(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["files"]["golden.npz"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def damage_number(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    text = text.replace('"tolerance": 0.0001', f'"tolerance": {"9" * 5000}')
    (bundle / "manifest.json").write_text(text)


def damage_name(bundle: Path) -> None:
    (bundle / "a\x1b[2J\x9b\u202e\nb").write_bytes(b"")


def damage_name_of_bytes(bundle: Path) -> None:
    Path(os.fsdecode(os.fsencode(bundle) + b"/\xff\xc3")).write_bytes(b"")


def damage_no_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def damage_no_folder(bundle: Path) -> None:
    shutil.rmtree(bundle)


@pytest.mark.parametrize(
    "damage",
    [
        damage_tampered,
        damage_truncated,
        damage_missing,
        damage_folder,
        damage_link_out,
        damage_ring,
        damage_module,
        damage_package,
        damage_linked_folder,
        damage_bytecode,
        damage_bytecode_without_a_tag,
        damage_golden,
        damage_number,
        damage_name,
        damage_name_of_bytes,
        damage_no_manifest,
        damage_no_folder,
    ],
)
def test_damage(plain, bundle: Path, damage):
    damage(bundle)
    assert refused(plain, bundle)


def test_files_that_need_not_be_listed(sanitized, bundle: Path):
    (bundle / "runtime" / "__pycache__").mkdir()
    (bundle / "runtime" / "__pycache__" / "__init__.cpython-38.opt-1.pyc").write_bytes(b"")
    (bundle / "timing.cache").write_bytes(b"")
    (bundle / "empty" / "inside").mkdir(parents=True)
    assert agrees(sanitized, bundle) == 0


def test_names_cannot_control_the_terminal(sanitized, bundle: Path, rewrite):
    rewrite(bundle, lambda data: data["model"].update(name="a\x1b[2J\n\x85\u2028\u2066b\u00e9"))
    assert agrees(sanitized, bundle) == 0
    assert r"a\x1b[2J\x0a\x85\u2028\u2066b\xe9 for" in str(verify(bundle)).replace("\xe9", r"\xe9")


def test_links_to_listed_files(sanitized, bundle: Path, reseal):
    (bundle / "labels.txt").rename(bundle / "names.txt")
    (bundle / "labels.txt").symlink_to("names.txt")
    reseal(bundle)
    link = bundle.parent / "link"
    link.symlink_to(bundle)
    assert agrees(sanitized, link) == 0


@pytest.mark.parametrize(
    "content", [b"", b"a\nb\n", b"a\nb\nc\nd\ne\nf\n", b"\xff\nb\nc\nd\ne\n", b"\n" * 6]
)
def test_labels_that_do_not_fit(sanitized, bundle: Path, reseal, content: bytes):
    (bundle / "labels.txt").write_bytes(content)
    reseal(bundle)
    with pytest.raises(BundleRefused) as caught:
        load(bundle)
    done = sanitized.run("kexport-verify", bundle)
    assert done.status == 14
    assert done.err.startswith(f"error: {str(caught.value).partition(':')[0]}")


def test_a_malformed_model(plain, bundle: Path, reseal):
    (bundle / "model.onnx").write_bytes(b"no model")
    reseal(bundle)
    done = plain.run("kexport-verify", bundle)
    assert done.status == 14
    assert f"cannot load {bundle}/model.onnx: " in done.err
    assert "hint: copy the bundle again whole, or upgrade onnxruntime" in done.err


@pytest.mark.parametrize("name", ["shape", "dtype", "name"])
def test_a_manifest_of_another_model(plain, bundle: Path, rewrite, name: str):
    other = {"shape": [1, 6], "dtype": "float64", "name": "scores"}[name]
    rewrite(bundle, lambda data: data["outputs"][0].update({name: other}))
    (bundle / "labels.txt").unlink()
    rewrite(bundle, lambda data: data["files"].pop("labels.txt"))
    assert refused(plain, bundle)


@pytest.mark.parametrize("words", [[], ["a", "b"], ["a", "--nothing", "1"], ["a", "--threads"]])
def test_wrong_usage(plain, words: list[str]):
    done = plain.run("kexport-verify", *words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("usage: kexport-verify BUNDLE")


def test_help(plain):
    done = plain.run("kexport-verify", "--help")
    assert (done.status, done.err) == (0, "")
    assert "--onnxruntime PATH" in done.out


def test_threads(sanitized, bundle: Path):
    assert sanitized.run("kexport-verify", bundle, "--threads", "2").status == 0

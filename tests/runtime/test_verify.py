from pathlib import Path

import numpy as np
import pytest
from fake_tensorrt import for_tensorrt

from kexport.runtime import BundleRefused, verify
from kexport.runtime.verify import Row

ALL = ("probabilities", "features")


def change_golden(bundle: Path, reseal, **arrays: np.ndarray | None) -> None:
    with np.load(bundle / "golden.npz") as golden:
        content = {**{name: golden[name] for name in golden.files}, **arrays}
    kept = {name: array for name, array in content.items() if array is not None}
    np.savez(bundle / "golden.npz", **kept)
    reseal(bundle)


def golden(bundle: Path, name: str) -> np.ndarray:
    with np.load(bundle / "golden.npz") as arrays:
        return arrays[name]


def test_a_row_passes_by_its_spread_error():
    assert Row("x", max_abs=9.0, error=1e-4, tolerance=1e-4, top1_agreement=0.0).passed
    assert not Row("x", max_abs=0.0, error=1.1e-4, tolerance=1e-4, top1_agreement=1.0).passed
    for tolerance in (1e-4, np.inf):
        for error in (np.nan, np.inf):
            assert not Row("x", 0.0, error, tolerance, top1_agreement=1.0).passed


@pytest.mark.parametrize("batch", [1, 2, 3, 8, None])
def test_a_good_bundle_passes(build, batch):
    found = verify(build(batch=batch, outputs=ALL))
    assert found.passed
    assert (found.model, found.target, found.files, found.images) == (
        "mean_colour",
        "cpu-fp32",
        5,
        4,
    )
    assert [row.name for row in found.rows] == ["probabilities", "logits", "features"]
    assert [row.top1_agreement for row in found.rows] == [1.0, 1.0, None]
    assert all(row.error < 1e-5 for row in found.rows)


def test_different_outputs_fail_without_an_exception(build, reseal):
    bundle = build(outputs=ALL)
    features = golden(bundle, "features")
    change_golden(bundle, reseal, features=features + 0.5)
    found = verify(bundle)
    assert not found.passed
    assert [row.passed for row in found.rows] == [True, True, False]
    assert found.rows[2].max_abs == pytest.approx(0.5, rel=1e-4)
    assert found.rows[2].error == pytest.approx(0.5 / features.std(), rel=1e-3)


def test_a_failed_model_onnx_in_an_engines_bundle_warns(build, reseal, recwarn):
    bundle = build(outputs=ALL, edit=for_tensorrt)
    assert verify(bundle).passed
    assert not recwarn.list
    change_golden(bundle, reseal, features=golden(bundle, "features") + 0.5)
    with pytest.warns(RuntimeWarning, match="python build_engine.py --verify"):
        assert not verify(bundle).passed


def test_the_logits_row_shows_errors_that_probabilities_hide(build, reseal):
    bundle = build()
    answers = golden(bundle, "probabilities")
    answers[answers == answers.min()] *= 1.1
    change_golden(bundle, reseal, probabilities=answers)
    found = verify(bundle)
    assert [(row.name, row.passed) for row in found.rows] == [
        ("probabilities", True),
        ("logits", False),
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_fail(build, reseal, value):
    bundle = build(outputs=("features",))
    change_golden(bundle, reseal, features=np.full((4, 3), value, np.float32))
    found = verify(bundle)
    assert not found.passed
    assert found.as_dict()["rows"][0]["error"] is None


def test_golden_outputs_of_another_shape_fail(build, reseal):
    bundle = build(outputs=("features",))
    change_golden(bundle, reseal, features=np.zeros((4, 2), np.float32))
    assert verify(bundle).rows[0].error == np.inf


def give_graph(bundle: Path, reseal, rewrite, shift: float = 0.0) -> None:
    """Hold a bundle to a graph whose answers are those of Keras, and `shift` more."""

    def allow(manifest):
        rows = manifest["parity"]["outputs"]
        rows |= {f"graph:{name}": {**row, "tolerance": 1e-3} for name, row in rows.items()}

    rewrite(bundle, allow)
    answers = {f"graph:{name}": golden(bundle, name) + shift for name in ALL}
    change_golden(bundle, reseal, **answers)


def test_outputs_are_compared_with_the_graph_too(build, reseal, rewrite):
    bundle = build(outputs=ALL)
    give_graph(bundle, reseal, rewrite)
    found = verify(bundle)
    assert found.passed
    names = ["probabilities", "logits", "features"]
    assert [row.name for row in found.rows] == [*names, *(f"graph:{name}" for name in names)]
    assert [row.tolerance for row in found.rows] == [1e-4] * 3 + [1e-3] * 3


def test_outputs_that_equal_keras_but_not_the_graph_fail(build, reseal, rewrite):
    bundle = build(outputs=ALL)
    give_graph(bundle, reseal, rewrite, shift=0.5)
    found = verify(bundle)
    assert not found.passed
    assert [row.passed for row in found.rows[:3]] == [True, True, True]
    assert found.rows[5].max_abs == pytest.approx(0.5, rel=1e-4)
    assert not found.rows[5].passed


def test_missing_outputs_of_the_graph_are_refused(build, reseal, rewrite):
    bundle = build(outputs=ALL)
    give_graph(bundle, reseal, rewrite)
    change_golden(bundle, reseal, **{"graph:features": None})
    with pytest.raises(BundleRefused, match="no array for 'graph:features'"):
        verify(bundle)


def test_a_missing_tolerance_for_the_graph_is_refused(build, reseal, rewrite):
    bundle = build(outputs=ALL)
    give_graph(bundle, reseal, rewrite)
    rewrite(bundle, lambda data: data["parity"]["outputs"].pop("graph:logits"))
    with pytest.raises(BundleRefused, match="no tolerance for 'graph:logits'"):
        verify(bundle)


def test_a_changed_file_is_refused(bundle: Path):
    (bundle / "labels.txt").write_text("coal\ntomato\ngrass\nsea\nsnou\n")
    with pytest.raises(BundleRefused, match=r"labels\.txt does not match its SHA-256"):
        verify(bundle)


@pytest.mark.parametrize("name", ["image", "probabilities"])
def test_a_golden_file_without_an_array(bundle: Path, reseal, name: str):
    change_golden(bundle, reseal, **{name: None})
    with pytest.raises(BundleRefused, match=f"golden.npz has no array for '{name}'"):
        verify(bundle)


def test_golden_images_that_do_not_fit_the_model(bundle: Path, reseal):
    change_golden(bundle, reseal, image=np.zeros((4, 8, 6, 3), np.float32))
    with pytest.raises(BundleRefused, match=r"golden\.npz does not fit the model: input 'image'"):
        verify(bundle)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nonsense"])
def test_a_malformed_golden_file(bundle: Path, reseal, content: bytes):
    (bundle / "golden.npz").write_bytes(content)
    reseal(bundle)
    with pytest.raises(BundleRefused, match=r"golden\.npz cannot be read"):
        verify(bundle)


def test_a_golden_file_that_would_run_code(bundle: Path, reseal):
    change_golden(bundle, reseal, image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleRefused, match=r"golden\.npz cannot be read"):
        verify(bundle)


def test_a_missing_golden_file(bundle: Path, reseal):
    (bundle / "golden.npz").unlink()
    reseal(bundle)
    with pytest.raises(BundleRefused, match=r"files\.golden\.npz is missing"):
        verify(bundle)


def test_names_cannot_control_the_terminal(build, rewrite):
    bundle = build(outputs=ALL)
    rewrite(bundle, lambda data: data["model"].update(name="a\x1b[2J\nx for cpu: passed"))
    first, *lines = str(verify(bundle)).split("\n")
    assert first == r"a\x1b[2J\x0ax for cpu: passed for cpu-fp32: passed"
    assert len(lines) == 6


def test_a_missing_tolerance(build):
    bundle = build(edit=lambda data: data["parity"]["outputs"].pop("logits"))
    with pytest.raises(BundleRefused, match="no tolerance for 'logits'"):
        verify(bundle)


def test_the_table(build, reseal):
    bundle = build(outputs=ALL)
    change_golden(bundle, reseal, features=golden(bundle, "features") + 0.5)
    lines = str(verify(bundle)).splitlines()
    assert lines[0] == "mean_colour for cpu-fp32: FAILED"
    assert lines[1].startswith("5 files match their SHA-256; 4 samples on onnxruntime 1.")
    assert lines[3] == "output           max abs      error  tolerance   top-1"
    assert [line.split()[0] for line in lines[4:]] == ["probabilities", "logits", "features"]
    assert lines[4].endswith("1.00e-04  100.0%  ok")
    assert lines[6].endswith("1.00e-04       -  FAILED")

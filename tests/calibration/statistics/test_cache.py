"""Calibration cache: exact ranges, and only for the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Sketch, normal

from kexport.calibration.statistics.cache import key_of, load_ranges, save_ranges
from kexport.calibration.statistics.ranges import Range
from kexport.errors import BadArgument, OutputFailed

RANGES = {"b": Range(-0.1, 1 / 3), "a": Range(0.0, 6.0)}


def test_saved_ranges_are_loaded_exactly(tmp_path: Path) -> None:
    save_ranges(tmp_path / "c.json", "k", RANGES)
    assert load_ranges(tmp_path / "c.json", "k") == RANGES
    save_ranges(tmp_path / "c.json", "k2", {})
    assert load_ranges(tmp_path / "c.json", "k2") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_another_key_is_refused(tmp_path: Path) -> None:
    save_ranges(tmp_path / "c.json", "k", RANGES)
    with pytest.raises(BadArgument, match="of another model or calibration method"):
        load_ranges(tmp_path / "c.json", "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no calibration cache"),
        ("[]", "no calibration cache of this version"),
        ('{"schema": 2, "key": "k"}', "no calibration cache of this version"),
        ('{"schema": 1, "key": "k"}', "damaged"),
        ('{"schema": 1, "key": "k", "ranges": {"a": [1]}}', "damaged"),
        ('{"schema": 1, "key": "k", "ranges": {"a": [0, NaN]}}', "damaged"),
        ('{"schema": 1, "key": "k", "ranges": {"a": [1, 2]}}', "damaged"),
    ],
)
def test_files_that_are_not_a_cache_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(BadArgument, match=message):
        load_ranges(tmp_path / "c.json", "k")


def test_a_missing_file_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="cannot be read: No such file"):
        load_ranges(tmp_path / "c.json", "k")
    with pytest.raises(OutputFailed, match="cannot be written: No such file"):
        save_ranges(tmp_path / "none" / "c.json", "k", RANGES)


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "c.json").mkdir()
    with pytest.raises(OutputFailed, match="cannot be written"):
        save_ranges(tmp_path / "c.json", "k", RANGES)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_the_key_depends_on_weights_graph_and_method() -> None:
    def key(seed: int, operator: str, method: str) -> str:
        s = Sketch()
        y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 4, seed=seed)))
        return key_of(s.model(s.op(operator, y)), method)

    assert key(0, "Relu", "mse") == key(0, "Relu", "mse")
    changed = {key(0, "Relu", "mse"), key(1, "Relu", "mse"), key(0, "Tanh", "mse")}
    assert len(changed | {key(0, "Relu", "minmax")}) == 4

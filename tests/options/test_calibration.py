"""Calibration options: their validation, and the targets that they fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kexport
from kexport import targets
from kexport.calibration.statistics.collector import ESTIMATORS
from kexport.errors import BadArgument
from kexport.options.calibration import METHODS, Calibration, check

IMAGES = np.zeros((20, 4, 4, 3), np.uint8)
INT8, FP32 = targets.find("cpu-int8"), targets.find("cpu-fp32")


def test_it_is_public() -> None:
    assert kexport.Calibration is Calibration


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"max_drop": 2.0}, "`calibration.max_drop` must be between 0 and 1, not 2"),
        ({"max_drop": -0.1}, "`calibration.max_drop` must be between 0 and 1, not -0.1"),
        ({"max_drop": float("nan")}, "`calibration.max_drop` must be between 0 and 1, not nan"),
        ({"int8_share": 1.5}, "`calibration.int8_share` must be between 0 and 1, not 1.5"),
        ({"ship_images": -1}, "`calibration.ship_images` must be 0 or more, not -1"),
        ({"require_speedup": 0.0}, "`calibration.require_speedup` must be positive, not 0"),
        ({"method": "mean"}, "there is no calibration method 'mean'"),
    ],
)
def test_values_out_of_range_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArgument, match=f"^{message}$") as caught:
        Calibration(**words)
    assert caught.value.hint


def test_a_misspelt_method_is_suggested() -> None:
    with pytest.raises(BadArgument) as caught:
        Calibration(method="entrop")
    assert caught.value.hint == "did you mean 'entropy'?"


def test_every_method_has_an_estimator() -> None:
    assert set(METHODS) == {"minmax", *ESTIMATORS}


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"data": IMAGES}, "data"),
        ({"method": "minmax"}, "method"),
        ({"cache": Path("c.json")}, "cache"),
        ({"max_drop": 0.5}, "max_drop"),
        ({"int8_share": 0.8}, "int8_share"),
        ({"require_speedup": 1.5}, "require_speedup"),
        ({"ship_images": 8}, "ship_images"),
    ],
)
def test_options_are_refused_for_other_precisions(words: dict[str, Any], field: str) -> None:
    with pytest.raises(BadArgument) as caught:
        check(Calibration(**words), FP32, local=True)
    assert str(caught.value) == f"`calibration.{field}` is for int8, and cpu-fp32 is fp32"
    assert caught.value.hint == "leave it out, or choose the target cpu-int8"


def test_labelled_images_are_for_every_precision() -> None:
    check(Calibration(eval_data="photos"), FP32, local=True)


def test_int8_needs_images_that_exist(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"cpu-int8 needs `calibration.data`: images"):
        check(Calibration(), INT8, local=True)
    with pytest.raises(BadArgument, match="nowhere does not exist"):
        check(Calibration(tmp_path / "nowhere"), INT8, local=True)


def test_a_speedup_can_be_required_only_where_it_can_be_measured() -> None:
    fast = Calibration(IMAGES, require_speedup=1.5)
    check(fast, INT8, local=True)
    with pytest.raises(BadArgument, match="cpu-int8 cannot be timed on this machine") as caught:
        check(fast, INT8, local=False)
    assert "calibration.require_speedup" in (caught.value.hint or "")


def test_the_defaults_fit_every_other_precision() -> None:
    check(Calibration(), FP32, local=False)

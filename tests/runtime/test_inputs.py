"""Arrays for inputs of formats with shared chroma have sizes that the format has."""

import numpy as np
import pytest

from kexport.runtime import BadInput
from kexport.runtime.inputs import exact, fit_inputs
from kexport.runtime.manifest import InputSpec

CHANNELS = {"NV12": 1, "YUYV": 2}


def camera(color: str) -> InputSpec:
    """Return an input of images of any size, as of a graph that resizes."""
    return InputSpec("image", "uint8", (1, None, None, CHANNELS[color]), "NHWC", color, (0, 255))


def frame(color: str, rows: int, width: int) -> np.ndarray:
    return np.zeros((1, rows, width, CHANNELS[color]), np.uint8)


@pytest.mark.parametrize("rows", [47, 49, 50, 52])
def test_rows_that_are_not_three_halves_of_an_even_height(rows: int):
    with pytest.raises(BadInput, match=f"takes NV12, and {rows} rows are not 3/2 of an even") as at:
        fit_inputs(frame("NV12", rows, 64), [camera("NV12")])
    assert at.value.hint == "give 3/2 as many rows as the image has: its Y, then its U and V"


@pytest.mark.parametrize("color", CHANNELS)
def test_odd_widths(color: str):
    with pytest.raises(BadInput, match=f"takes {color}, and the width 63 is odd"):
        fit_inputs(frame(color, 48, 63), [camera(color)])


@pytest.mark.parametrize(("color", "rows"), [("NV12", 48), ("NV12", 51), ("YUYV", 47)])
def test_sizes_that_the_format_has(color: str, rows: int):
    assert fit_inputs(frame(color, rows, 64), [camera(color)])["image"].shape[1] == rows


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [([300], "uint8"), ([-1], "uint8"), ([1.5], "int32"), ([float("nan")], "int64"), ([2], "bool")],
)
def test_numbers_that_a_dtype_does_not_hold(numbers: list[float], dtype: str):
    with pytest.raises(ValueError, match=f"{dtype} does not hold all of them"):
        exact(numbers, dtype)


def test_numbers_that_a_dtype_holds():
    assert exact([1.0, 2.0], "int32").tolist() == [1, 2]
    assert exact([[True], [False]], "uint8").tolist() == [[1], [0]]
    assert exact(0.1, "float32") == np.float32(0.1)

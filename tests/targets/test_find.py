"""A target resolved with an opset or GPUs of the user's choice."""

import pytest

from kexport import targets
from kexport.errors import BadArgument


def test_another_opset_within_what_the_toolchain_reads() -> None:
    assert targets.find("trt-fp16", opset=13).opset == 13
    with pytest.raises(BadArgument, match="reads opset 17 at most, not 18"):
        targets.find("jetson-xavier-fp32", opset=18)
    with pytest.raises(BadArgument, match="opset 12 is not written"):
        targets.find("cpu-fp32", opset=12)


def test_compute_capabilities_of_engines_built_ahead_of_time() -> None:
    target = targets.find("rtx-fp16", compute_capabilities=("8.6",))
    assert target.compute_capabilities == ("8.6",)
    with pytest.raises(BadArgument, match="built on the device"):
        targets.find("trt-fp16", compute_capabilities=("8.6",))
    with pytest.raises(BadArgument, match="'ampere' is not a compute capability"):
        targets.find("rtx-fp16", compute_capabilities=("ampere",))

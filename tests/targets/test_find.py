"""A target resolved with versions, an opset or GPUs of the user's choice."""

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


@pytest.mark.parametrize(
    ("name", "jetpack", "tensorrt", "message", "hint"),
    [
        (
            "jetson-nano-fp16",
            "6.2",
            None,
            "JetPack 6.2 is not known to run",
            "`toolchain.jetpack='4.6.6'`",
        ),
        (
            "jetson-thor-fp16",
            "6.2",
            None,
            "JetPack 6.2 is not known to run",
            "`toolchain.jetpack='7.0'`",
        ),
        (
            "jetson-orin-fp16",
            "5.1.9",
            None,
            "JetPack 5.1.9 is not known",
            "`toolchain.jetpack='5.1.5'`",
        ),
        (
            "jetson-orin-nano-fp16",
            None,
            "11",
            "TensorRT 11 is not known",
            "`toolchain.tensorrt='10.16.2'`",
        ),
        ("trt-fp16", None, "9.1", "TensorRT 9.1 is not known", "`toolchain.tensorrt='8.6'`"),
        ("trt-fp16", None, "8.2", "TensorRT 8.2 is not known", "`toolchain.tensorrt='8.5'`"),
        (
            "jetson-orin-fp16",
            "6.2",
            "8.6",
            "JetPack 6.2 .* no TensorRT 8.6",
            "`toolchain.tensorrt='10.3.0'`",
        ),
        ("jetson-orin-fp16", "six", None, "'six' is not a version of JetPack", "such as 7.2.2"),
        ("trt-fp16", None, "10.", "'10.' is not a version of TensorRT", "such as 11.4"),
        ("trt-fp16", "6.2", None, "'trt' runs no JetPack", "leave out `toolchain.jetpack`"),
        ("cpu-fp32", None, "10.3", "'cpu' runs no TensorRT", "leave out `toolchain.tensorrt`"),
    ],
)
def test_a_toolchain_that_the_device_cannot_run(
    name: str, jetpack: str | None, tensorrt: str | None, message: str, hint: str
) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        targets.find(name, jetpack=jetpack, tensorrt=tensorrt)
    assert hint in (caught.value.hint or "")

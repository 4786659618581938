"""Centring of residual streams: the shifts, and that the function stays the same."""

import numpy as np
import onnx_ir as ir
from support import Sketch, assert_pure_and_equal, normal

from kexport.calibration.algorithms.stream_centring import centre_streams, stream_shifts
from kexport.calibration.statistics.channels import ChannelStatistics
from kexport.calibration.statistics.ranges import collect_statistics

GIVEN = normal(4, 8, 6, 6, seed=9)


def conv(s: Sketch, x: ir.Value, made: int, read: int, **how: list[int]) -> ir.Value:
    """Add a 1 x 1 Conv whose outputs are far from zero."""
    count = sum(node.op_type == "Conv" for node in s.graph)
    weights = s.constant(f"w{count}", normal(made, read, 1, 1, seed=count))
    bias = s.constant(f"b{count}", normal(made, seed=count + 20, scale=30))
    return s.op("Conv", x, weights, bias, **how)


def stream(s: Sketch, x: ir.Value) -> ir.Value:
    first = conv(s, x, 4, 8)
    for _ in range(2):
        first = s.op("Add", conv(s, s.op("Relu", conv(s, first, 8, 4)), 4, 8), first)
    return first


def measured(model: ir.Model, names: list[str]) -> dict[str, ChannelStatistics]:
    return collect_statistics(model, [], names, GIVEN, batch=4, method="mse").channels


STREAM = ["Conv_0", "Conv_2", "Add_0", "Conv_4", "Add_1"]
READ = ["Conv_0", "Add_0", "Add_1"]
"""The tensors of the stream, and those that convolutions read."""


def test_what_convolutions_read_is_centred_and_the_function_stays() -> None:
    s = Sketch()
    model = s.model(conv(s, stream(s, s.input("x", list(GIVEN.shape))), 5, 4))
    before = measured(model, STREAM)
    shifts = stream_shifts(model, before)
    assert shifts.keys() == set(STREAM)
    changed = assert_pure_and_equal(centre_streams(shifts), model, {"x": GIVEN})
    after = measured(changed, STREAM)
    for name in READ:
        assert np.abs(before[name].middle).max() > 10
        assert np.abs(after[name].middle).max() < 1e-4


def test_statistics_are_shifted_as_measuring_again_would_give_them() -> None:
    s = Sketch()
    model = s.model(conv(s, stream(s, s.input("x", list(GIVEN.shape))), 5, 4))
    before = measured(model, STREAM)
    shifts = stream_shifts(model, before)
    after = measured(centre_streams(shifts)(model), STREAM)
    for name in STREAM:
        found, wanted = before[name].shifted(shifts[name]), after[name]
        np.testing.assert_allclose(found.lowest, wanted.lowest, atol=1e-4)
        np.testing.assert_allclose(found.highest, wanted.highest, atol=1e-4)
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-3)
        np.testing.assert_array_equal(found.channel_ids, wanted.channel_ids)
        assert (found.peaks >= np.maximum(-found.lowest, found.highest) - 1e-4).all()


def test_a_stream_that_is_read_with_padding_is_not_shifted() -> None:
    s = Sketch()
    x = s.input("x", list(GIVEN.shape))
    model = s.model(conv(s, stream(s, x), 5, 4, pads=[1, 1, 1, 1]))
    assert stream_shifts(model, measured(model, STREAM)) == {}


def test_a_stream_with_an_activation_is_not_shifted() -> None:
    s = Sketch()
    x = s.input("x", list(GIVEN.shape))
    model = s.model(conv(s, s.op("Relu", stream(s, x)), 5, 4))
    assert stream_shifts(model, measured(model, STREAM)) == {}

"""GroupNormalization along any axis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, operators

NEAR = 5e-5
"""Over few elements either side loses digits: x - mean cancels."""


@given(data=st.data())
def test_group_normalization(data: st.DataObject) -> None:
    shape = (6, 4, 2, 6)[: data.draw(st.integers(1, 4), "axes")]
    axis = data.draw(st.integers(1, len(shape)) | st.integers(-len(shape), -1), "axis")
    channels = shape[axis - 1 if axis > 0 else axis]
    layer = layers.GroupNormalization(
        groups=data.draw(
            st.sampled_from([n for n in (1, 2, 3, 4, 6) if channels % n == 0] + [-1]), "groups"
        ),
        axis=axis,
        epsilon=data.draw(st.sampled_from([1e-3, 0.1]), "epsilon"),
        center=data.draw(st.booleans(), "center"),
        scale=data.draw(st.booleans(), "scale"),
    )
    x = normal(2, *shape, seed=4)
    assert assert_converts(model_of(layer, shape), x, tolerance=NEAR).traced == ()


@pytest.mark.parametrize("groups", [1, 2, -1])
def test_an_image_whose_size_only_run_time_knows(groups: int) -> None:
    model = model_of(layers.GroupNormalization(groups), (None, None, 4))
    assert assert_converts(model, normal(2, 5, 6, 4)).traced == ()


def test_each_channel_for_itself_is_one_node() -> None:
    converted = assert_converts(
        model_of(layers.GroupNormalization(-1), (5, 6, 4)), normal(2, 5, 6, 4)
    )
    assert operators(converted.model) == {"Transpose": 2, "InstanceNormalization": 1}

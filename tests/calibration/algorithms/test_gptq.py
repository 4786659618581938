"""GPTQ: the nearest plane, pair sums, and im2col."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, normal, onnx_answers

from kexport.calibration.algorithms.gptq import DAMPING, gptq_round, hessian_of, im2col
from kexport.calibration.quantizer.qparams import INT8_MAX
from kexport.calibration.quantizer.saturation import MAX_PAIR_SUM, to_rows


def correlated(groups: int, count: int, width: int) -> np.ndarray:
    """Draw correlated inputs [G, K, R] of zero mean, like the channels of an image."""
    common, own = normal(groups, count, 4, seed=1), normal(groups, count, width, seed=2)
    found = (common @ normal(4, width, seed=3) + 0.1 * own).astype(np.float32)
    return (found - found.mean(axis=1, keepdims=True)).transpose(0, 2, 1)


def wasted(errors: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Compute the variance [G, O] that weight errors [G, O, K] add to the outputs."""
    return np.matmul(errors, inputs).var(axis=2)


def test_independent_inputs_give_the_nearest_integers() -> None:
    weights = 20 * normal(2, 5, 70)
    hessian = np.stack([np.diag(np.arange(1.0, 71)), np.zeros((70, 70))])
    assert np.array_equal(gptq_round(weights, hessian), np.rint(weights))


def test_the_error_is_within_the_bound_of_the_nearest_plane() -> None:
    """Babai, 1986: the squared distance is at most a quarter of the squared diagonal's sum."""
    inputs, weights = correlated(3, 200, 90), 20 * normal(3, 6, 90, seed=4)
    hessian = hessian_of(inputs)
    errors = weights - gptq_round(weights, hessian)
    eye = np.eye(90) * DAMPING * np.einsum("gkk->g", hessian)[:, None, None] / 90
    distance = np.einsum("goj,gjk,gok->go", errors, hessian + eye, errors)
    diagonal = np.diagonal(np.linalg.cholesky(hessian + eye), axis1=1, axis2=2)
    assert (distance <= np.square(diagonal).sum(axis=1, keepdims=True) / 4 + 1e-9).all()


def test_output_errors_are_smaller_than_with_the_nearest_integers() -> None:
    inputs, others = np.split(correlated(2, 400, 90), 2, axis=2)
    weights = 20 * normal(2, 6, 90, seed=4)
    found = gptq_round(weights, hessian_of(inputs))
    assert (
        wasted(weights - found, others).mean()
        < wasted(weights - np.rint(weights), others).mean() / 8
    )


@pytest.mark.parametrize("width", [90, 91])
def test_pair_sums_are_limited(width: int) -> None:
    weights = np.sign(normal(1, 4, width)) * 120
    found = gptq_round(weights, hessian_of(correlated(1, 200, width)), MAX_PAIR_SUM).astype(int)
    pairs = np.pad(found[0], ((0, 0), (0, width % 2))).reshape(4, -1, 2)
    assert found.min() >= -INT8_MAX
    assert found.max() <= INT8_MAX
    assert pairs.clip(0).sum(axis=2).max() <= MAX_PAIR_SUM
    assert (-pairs).clip(0).sum(axis=2).max() <= MAX_PAIR_SUM


CONVS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((4, 6, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ((6, 1, 3, 2), {"group": 6, "dilations": [2, 1]}),
    ((4, 3, 1, 1), {"group": 2}),
]


@pytest.mark.parametrize(("shape", "attributes"), CONVS)
def test_im2col_times_weights_is_the_output(
    shape: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    s, given, weights = Sketch(), normal(3, 6, 7, 8), normal(*shape)
    made = s.op("Conv", s.input("x", [3, 6, 7, 8]), s.constant("w", weights), **attributes)
    (wanted,) = onnx_answers(s.model(made), [given])
    node = made.producer()
    assert node is not None
    groups = attributes.get("group", 1)
    met = im2col(node, [given[:2], given[2:]], shape, 10_000)
    held = to_rows(weights, 0).reshape(groups, shape[0] // groups, -1)
    found = np.matmul(held, met)  # [groups, outputs, positions]
    outputs = np.moveaxis(wanted, 1, -1).reshape(-1, groups, shape[0] // groups)
    assert np.allclose(found, outputs.transpose(1, 2, 0), atol=1e-5)
    few = im2col(node, [given[:2], given[2:]], shape, 8)
    assert few.shape[2] == 8
    assert all((column == met[0].T).all(axis=1).any() for column in few[0].T)


def test_im2col_of_a_gemm_is_its_input() -> None:
    node = ir.node("Gemm", [])
    given = normal(6, 5)
    assert np.array_equal(im2col(node, [given[:4], given[4:]], (5, 3), 100)[0], given.T)

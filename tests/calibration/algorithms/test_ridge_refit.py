"""Weights fitted to noisy inputs: the ridge regression's own formula, and what the noise leaves."""

import numpy as np
from support import normal

from kexport.calibration.algorithms.layer_weights import RIDGE_STRENGTHS, ridge_refit


def noisy(groups: int, count: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [G, 3, K], inputs [G, R, K] that two causes move, and the same with noise on them."""
    weights = normal(groups, 3, width, seed=1)
    inputs = normal(groups, count, 2, seed=2) @ normal(groups, 2, width, seed=3) + 4
    return weights, inputs, inputs + normal(groups, count, width, seed=4, scale=0.5) + 0.3


def centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=1, keepdims=True)


def missed(weights: np.ndarray, found: np.ndarray, inputs: np.ndarray, met: np.ndarray) -> float:
    """The variance of what the outputs lack."""
    rest = inputs @ weights.transpose(0, 2, 1) - met @ found.transpose(0, 2, 1)
    return float(rest.var(axis=1).mean())


def test_noise_is_filtered_on_inputs_that_were_not_seen() -> None:
    weights, inputs, met = noisy(2, 800, 9)
    found = ridge_refit(weights, centred(inputs[:, :400]), centred(met[:, :400]))
    others = inputs[:, 400:], met[:, 400:]
    assert missed(weights, found, *others) < missed(weights, weights, *others) / 3


def test_it_is_the_ridge_regression_with_one_of_the_dampings() -> None:
    weights, inputs, met = (array.astype(np.float64) for array in noisy(1, 400, 9))
    found = ridge_refit(weights, centred(inputs), centred(met))[0]
    x, y = (rows[0] - rows[0].mean(axis=0) for rows in (met, inputs))
    wanted = []
    for damping in RIDGE_STRENGTHS:
        ridge = damping * np.square(x).sum(axis=0).mean() * np.eye(9)
        rows, targets = np.vstack([x, np.linalg.cholesky(ridge)]), (y - x) @ weights[0].T
        padded = np.vstack([targets, np.zeros((9, 3))])
        wanted.append(weights[0] + np.linalg.lstsq(rows, padded, rcond=None)[0].T)
    assert min(np.abs(found - one).max() for one in wanted) < 1e-9


def test_weights_stay_where_nothing_can_be_learnt() -> None:
    weights, inputs, _ = noisy(2, 90, 9)
    assert np.array_equal(ridge_refit(weights, inputs, inputs), weights)
    assert np.array_equal(ridge_refit(weights, np.zeros((2, 90, 9)), np.zeros((2, 90, 9))), weights)

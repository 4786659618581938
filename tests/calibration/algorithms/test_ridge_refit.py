"""ridge_refit: the formula of ridge regression, and the noise that remains."""

import numpy as np
from support import normal

from kexport.calibration.algorithms.layer_weights import RIDGE_STRENGTHS, ridge_refit


def noisy(groups: int, count: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw weights [G, 3, K], inputs [G, K, R] of rank two, and the inputs with noise."""
    weights = normal(groups, 3, width, seed=1)
    inputs = normal(groups, count, 2, seed=2) @ normal(groups, 2, width, seed=3) + 4
    met = inputs + normal(groups, count, width, seed=4, scale=0.5) + 0.3
    return weights, inputs.transpose(0, 2, 1), met.transpose(0, 2, 1)


def centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=2, keepdims=True)


def missed(weights: np.ndarray, found: np.ndarray, inputs: np.ndarray, met: np.ndarray) -> float:
    """Compute the variance of the error of the outputs."""
    rest = weights @ inputs - found @ met
    return float(rest.var(axis=2).mean())


def test_the_refit_filters_noise_on_new_inputs() -> None:
    weights, inputs, met = noisy(2, 800, 9)
    found = ridge_refit(weights, centred(inputs[..., :400]), centred(met[..., :400]))
    others = inputs[..., 400:], met[..., 400:]
    assert missed(weights, found, *others) < missed(weights, weights, *others) / 3


def test_the_refit_is_ridge_regression_with_one_of_the_strengths() -> None:
    weights, inputs, met = (array.astype(np.float64) for array in noisy(1, 400, 9))
    found = ridge_refit(weights, centred(inputs), centred(met))[0]
    x, y = (centred(rows)[0].T for rows in (met, inputs))
    wanted = []
    for damping in RIDGE_STRENGTHS:
        ridge = damping * np.square(x).sum(axis=0).mean() * np.eye(9)
        rows, targets = np.vstack([x, np.linalg.cholesky(ridge)]), (y - x) @ weights[0].T
        padded = np.vstack([targets, np.zeros((9, 3))])
        wanted.append(weights[0] + np.linalg.lstsq(rows, padded, rcond=None)[0].T)
    assert min(np.abs(found - one).max() for one in wanted) < 1e-9


def test_weights_do_not_change_without_noise_or_signal() -> None:
    weights, inputs, _ = noisy(2, 90, 9)
    assert np.array_equal(ridge_refit(weights, inputs, inputs), weights)
    assert np.array_equal(ridge_refit(weights, np.zeros((2, 9, 90)), np.zeros((2, 9, 90))), weights)

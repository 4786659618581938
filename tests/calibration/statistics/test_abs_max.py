"""observe: the largest magnitude of every tensor."""

import numpy as np
import pytest
from support import Sketch, normal, snapshot

from kexport.calibration.statistics.abs_max import observe
from kexport.graph import save


def test_the_largest_magnitude_of_each_tensor_is_measured() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    y = s.op("Mul", x, s.constant("c", -3.0))
    z = s.op("Exp", y)
    model = s.model(z)
    before = snapshot(model)
    given = normal(2, 3)
    found = observe(model, {"x": given})
    assert snapshot(model) == before
    assert set(found) == {y.name, z.name}
    assert found[y.name].largest == pytest.approx(np.abs(given * 3).max(), rel=1e-6)
    assert found[z.name].largest == pytest.approx(np.exp(given * -3).max(), rel=1e-5)


def test_nan_is_reported_as_infinite() -> None:
    s = Sketch()
    y = s.op("Log", s.input("x", [3]))
    found = observe(s.model(y), {"x": np.array([1, -1, 5], np.float32)})
    assert not np.isfinite(found[y.name].largest)


def test_integer_tensors_are_ignored() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    model = s.model(s.op("ArgMax", x), s.op("Relu", x))
    assert set(observe(model, {"x": normal(2, 3)})) == {"Relu_0"}


def test_a_model_with_external_weights_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "EXTERNAL_FROM", 1_000)
    s = Sketch()
    weights, given = normal(30, 40), normal(2, 30)
    y = s.op("MatMul", s.input("x", [2, 30]), s.constant("w", weights))
    found = observe(s.model(y), {"x": given})
    assert found[y.name].largest == pytest.approx(np.abs(given @ weights).max(), rel=1e-5)

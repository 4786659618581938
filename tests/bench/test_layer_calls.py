"""The interception of other people's layer tests, what it is told, and the page."""

import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

Bench = dict[str, ModuleType]
ROWS = np.ones((2, 3), np.float32)


@pytest.fixture
def taken(bench: Bench) -> Any:
    """Return a function that runs another, and returns the calls of layers in it."""

    def run(function: Any) -> list[Any]:
        calls: list[Any] = []
        with bench["layer_calls"].intercepting(calls.append):
            function()
        return calls

    return run


def test_only_outermost_calls_on_arrays_are_taken(taken: Any) -> None:
    inner, outer = layers.Dense(2), layers.Activation("relu")
    model = keras.Sequential([keras.Input((3,)), inner, outer])

    def calls() -> None:
        inner(keras.Input((3,)))
        model(ROWS)
        model.predict(ROWS)
        layers.Rescaling(2.0)([1, 2])
        thread = threading.Thread(target=lambda: inner(ROWS))
        thread.start()
        thread.join()

    found = taken(calls)
    assert [type(call.layer).__name__ for call in found] == ["Sequential"] * 2 + ["Rescaling"]
    assert found[2].args[0].dtype == np.int32


def test_calls_of_one_configuration_have_one_key(bench: Bench, taken: Any) -> None:
    outcome = bench["layer_outcome"]
    wider = np.ones((2, 4), np.float32)
    found = taken(lambda: [layers.Dense(2, name=n)(x) for n, x in (("a", ROWS), ("b", ROWS))])
    (other,) = taken(lambda: layers.Dense(2)(wider))
    assert len({outcome.key(call) for call in found}) == 1
    assert outcome.key(other) != outcome.key(found[0])


def test_a_call_is_told_equal_refused_or_not_comparable(bench: Bench, taken: Any) -> None:
    x = np.float32([[1, 2, 3]])
    hashed = layers.Hashing(3)

    def calls() -> None:
        layers.Dense(2)(ROWS)
        hashed(np.int32([[1], [2]]))
        layers.Lambda(lambda t: ops.reshape(t, (int(ops.sum(t)) // 2,)))(x)

    outcomes = [bench["layer_outcome"].outcome(call) for call in taken(calls)]
    assert [one.kind for one in outcomes] == ["equal", "refused", "not comparable"]
    assert bench["keras_tests_page"].reason(outcomes[1].why) == (
        "no ONNX form: ONNX has no operator for its hash"
    )


def test_what_is_wrong_is_told(bench: Bench) -> None:
    difference = bench["layer_outcome"].difference
    assert difference([ROWS], [ROWS]) == ""
    assert "1.0 in the place of 1.000" in difference([ROWS], [ROWS + np.float32(2.5e-4)])
    assert "(2, 3) in the place of" in difference([ROWS], [ROWS[:1]])
    assert "float32(2, 3) in the place of int64" in difference([ROWS], [ROWS.astype(np.int64)])
    assert "2 outputs in the place of 1" in difference([ROWS, ROWS], [ROWS])


def test_an_inner_time_limit_keeps_the_outer_one(bench: Bench) -> None:
    calls = bench["layer_calls"]

    def waits() -> None:
        with pytest.raises(calls.OutOfTime), calls.time_limit(0.05):
            threading.Event().wait(5)
        threading.Event().wait(5)

    with calls.time_limit(0.3), pytest.raises(calls.OutOfTime):
        waits()


def test_the_page_counts_by_folder_and_gives_each_reason(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, outcome = bench["keras_tests_page"], bench["layer_outcome"].Outcome
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    refused = outcome("GRU", "refused", "layer 'gru_1' (GRU) has stateful=True: why")
    module.put(module.KERAS, {"rnn": [outcome("GRU", "equal"), refused, refused]})
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "1 of 3 comparable models" in text
    assert "| rnn | 1 | 2 | 0 | 0 | 0 | 0 | 0 |" in text
    assert "| `GRU` | 2 | stateful=True: why |" in text

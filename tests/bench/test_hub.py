"""The table of KerasHub's models, and what its program says of a model."""

from types import ModuleType

import keras
import pytest


def test_models_of_keras_hub_have_titles_of_their_own(bench: dict[str, ModuleType]) -> None:
    titles = [row.title for row in bench["hub_table"].HUB]
    assert len(set(titles)) == len(titles) > 60


def test_a_converted_model_is_told_equal_and_a_wrong_one_wrong(
    bench: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, row = bench["hub"], bench["hub_table"].Row("small", None, ((8, 8), (6, 10)))

    def make() -> keras.Model:
        x = keras.Input((None, None, 3))
        return keras.Model(x, keras.layers.Conv2D(2, 3, name="only")(x))

    found = hub.outcome(row, make)
    assert (found.kind, found.nodes) == ("equal", 3)
    answers = hub._answers
    monkeypatch.setattr(hub, "_answers", lambda *given: [1 + y for y in answers(*given)])
    assert hub.outcome(row, make).kind == "wrong"
    page = hub.page({"KerasHub": [found]}, {"KerasHub": "1.2"})
    assert "## KerasHub 1.2\n\n1 of 1 are equal to Keras, 0 wrong" in page
    assert "| `small` | equal | 3 |" in page

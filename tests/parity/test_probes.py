"""Bundles compared with Keras at other sizes than those of their golden inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from support import randomise

from kexport.api import export
from kexport.errors import ParityFailed
from kexport.graph.passes import Pass
from kexport.options.application import Recipe
from kexport.options.image_input import ImageInput
from kexport.passes import pipeline

Spoil = Callable[[ir.Model], None]


def pooled(**options: Any) -> keras.Model:
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Dense(5, **options)(layers.GlobalMaxPooling2D()(y))
    return randomise(keras.Model(x, y, name="pooled"))


def pair(join: Any) -> keras.Model:
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    return keras.Model({"a": a, "b": b}, layers.GlobalMaxPooling1D()(join([a, b])))


def recipe_for(model: keras.Model) -> Recipe:
    return Recipe(preprocess="none" if len(model.inputs[0].shape) == 4 else None)


def probes_of(model: keras.Model, folder: Path, **options: Any) -> dict[str, Any]:
    bundle = export(model, "cpu-fp32", output=folder / "b", recipe=recipe_for(model), **options)
    found: dict[str, Any] = bundle.manifest["parity"]["probes"]
    return found


def test_probes_are_measured_in_units_of_the_golden_outputs(tmp_path: Path) -> None:
    found = probes_of(pooled(), tmp_path, batch="dynamic")
    assert list(found) == ["batch 1", "batch 3", "height 95, width 131", "height 162, width 66"]
    for rows in found.values():
        (row,) = rows.values()
        assert row["error"] < 1e-5
        assert row["tolerance"] == pytest.approx(1e-4)


def test_one_score_of_one_sample_has_no_spread_of_its_own(tmp_path: Path) -> None:
    x = keras.Input((16, 16, 3))
    y = layers.Dense(1, activation="sigmoid")(layers.Flatten()(layers.Conv2D(4, 3)(x * 0.01)))
    found = probes_of(randomise(keras.Model(x, y)), tmp_path, batch="dynamic")
    assert set(found) == {"batch 1", "batch 3"}


def test_the_best_classes_are_probed(tmp_path: Path) -> None:
    found = probes_of(pooled(activation="softmax"), tmp_path, top_k=2)
    rows = found["height 95, width 131"]
    assert {"indices", "scores"} <= set(rows)
    assert all(row["error"] <= row["tolerance"] for row in rows.values())


def test_a_resize_is_probed_from_other_sizes(tmp_path: Path) -> None:
    x = keras.Input((24, 30, 3))
    model = randomise(keras.Model(x, layers.Conv2D(2, 3)(x)))
    pixels = ImageInput(resize="bilinear", crop="center")
    assert len(probes_of(model, tmp_path, image_input=pixels)) == 2


def test_inputs_are_probed_in_another_order(tmp_path: Path) -> None:
    found = probes_of(pair(layers.Add()), tmp_path)
    assert "inputs in reverse order" in found


def fixing_the_size(model: ir.Model) -> None:
    """Write the size of the golden images into the graph, as a conversion might by mistake."""
    image = model.graph.inputs[0]
    rows = ir.Value(name="rows", const_value=ir.tensor(np.arange(192), name="rows"))
    rows.shape, rows.type = ir.Shape([192]), ir.TensorType(ir.DataType.INT64)
    model.graph.register_initializer(rows)
    reader = next(iter(image.uses())).node
    cut = ir.node("Gather", [image, rows], {"axis": 1}, name="cut")
    model.graph.insert_before(reader, cut)
    cut.outputs[0].type = image.type
    reader.replace_input_with(0, cut.outputs[0])


def test_a_graph_that_is_right_at_the_golden_size_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline.passes_for

    def spoilt(*args: Any) -> Any:
        passes = list(whole(*args))
        if args[1] == "lower":
            passes.append(Pass(fixing_the_size))
        return passes

    monkeypatch.setattr(pipeline, "passes_for", spoilt)
    with pytest.raises(ParityFailed, match="at height 95, width 131"):
        export(pooled(), "cpu-fp32", output=tmp_path / "b", recipe=recipe_for(pooled()))

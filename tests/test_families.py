"""Every family of keras.applications, small: its bundles and its random weights.

Three are exported at their own size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from cpp_verifiers import Export

from kexport import zoo
from kexport.api import Bundle
from kexport.options.application import Recipe
from kexport.source.open import Source, open_model
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]

FAMILIES = (
    "resnet50",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "nasnet_mobile",
    "efficientnet_b0",
    "convnext_tiny",
    *(
        pytest.param(name, marks=pytest.mark.zoo)
        for name in ("xception", "vgg16", "resnet50_v2", "inception_resnet_v2", "densenet121")
    ),
    pytest.param("efficientnet_v2_b0", marks=pytest.mark.zoo),
)
"""One Application of each family; the largest, and those of parts that others have, are `zoo`."""
HALF = ("resnet50", "mobilenet_v3_small", "efficientnet_b0")
OWN_SIZE = ("mobilenet_v2", "inception_v3", pytest.param("resnet50", marks=pytest.mark.zoo))


def small(name: str) -> Recipe:
    size = max(64, zoo.find(name).min_size)
    return Recipe(weights="random", input_shape=(size, size, 3), classes=100)


def errors(bundle: Bundle) -> dict[str, float]:
    return {name: row["error"] for name, row in bundle.manifest["parity"]["outputs"].items()}


def check_graph(path: Path, name: str) -> None:
    graph = onnx.load(path / "model.onnx", load_external_data=False).graph
    makers = {output: node for node in graph.node for output in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    transposes = [node for node in graph.node if node.op_type == "Transpose"]
    if not name.startswith("convnext"):
        assert len(transposes) <= 1
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            maker: Any = makers.get(node.input[0])
            shared = readers[node.input[0]] > 1
            assert maker is None or maker.op_type != "Conv" or shared
    assert "Identity" not in {node.op_type for node in graph.node}


@dataclass(frozen=True)
class Family:
    """An Application with random weights as `export` builds it; building takes longest."""

    name: str
    source: Source
    export_and_verify: Export

    @property
    def model(self) -> keras.Model:
        return self.source.model

    def export(self, target: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
        """Export it by its name."""
        monkeypatch.setattr("kexport.api.open_model", lambda *said: self.source)
        return self.export_and_verify(self.name, target, output=folder, recipe=small(self.name))

    def floats(self, count: int) -> Array:
        """Draw images other than those that the weights were drawn with."""
        height, width, _ = self.model.input_shape[1:]
        return prepare(draw_images(count, height, width, seed=99), self.source.mode)

    def logits(self, images: Array) -> Array:
        with bare(self.model.layers[-1]):
            return np.asarray(self.model(images))


@contextmanager
def bare(top: Any) -> Iterator[None]:
    """Remove the activation of a classifier for a while."""
    activation, top.activation = top.activation, keras.activations.linear
    yield
    top.activation = activation


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, export_and_verify: Export) -> Iterator[Family]:
    source = open_model(request.param, small(request.param))
    yield Family(request.param, source, export_and_verify)
    keras.backend.clear_session()


def test_float32(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = family.export("cpu-fp32", tmp_path / "b", monkeypatch)
    assert bundle.manifest["model"]["traced"] == []
    assert errors(bundle)["logits"] <= 1e-4
    check_graph(bundle.path, family.name)


@pytest.mark.parametrize("family", HALF, indirect=True)
def test_float16(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = family.export("trt-fp16", tmp_path / "b", monkeypatch)
    assert errors(bundle)["logits"] <= 2e-2
    check_graph(bundle.path, family.name)


def test_unseen_images_get_different_answers(family: Family) -> None:
    logits = family.logits(family.floats(8))
    assert np.isfinite(logits).all()
    assert 0.4 < logits.std() < 6
    assert logits.std(axis=0).mean() / logits.std() > 0.3
    assert len(set(logits.argmax(axis=-1))) > 2


def test_rounding_does_not_grow_through_the_network(family: Family) -> None:
    images, model = family.floats(4), family.model
    logits, weights = family.logits(images), model.get_weights()
    rng = np.random.default_rng(0)
    noisy = [(w * (1 + 1e-6 * rng.standard_normal(w.shape))).astype(w.dtype) for w in weights]
    model.set_weights(noisy)
    change = np.abs(family.logits(images) - logits).max() / logits.std()
    model.set_weights(weights)
    assert 0 < change < 4e-4


def test_no_weight_is_neutral(family: Family) -> None:
    for layer in family.model.layers:
        for weight in layer.weights:
            values = np.asarray(weight)
            assert np.isfinite(values).all(), weight.path
            if weight.name in ("bias", "beta", "kernel"):
                assert np.abs(values).max() > 0, weight.path
            if weight.name == "gamma":
                assert 0.25 < values.min() < values.max() < 1.35, weight.path
            if weight.name == "moving_variance":
                assert values.min() > 0, weight.path
                assert np.abs(values - 1).max() > 0.05, weight.path


@pytest.mark.parametrize("name", OWN_SIZE)
def test_at_its_own_size(export_and_verify: Export, name: str, tmp_path: Path) -> None:
    bundle = export_and_verify(
        name, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(weights="random")
    )
    assert errors(bundle)["logits"] <= 1e-4
    assert bundle.manifest["inputs"][0]["shape"][1] == zoo.find(name).size
    assert (bundle.path / "labels.txt").read_text(encoding="utf-8").startswith("tench\n")
    check_graph(bundle.path, name)


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_without_a_classifier(
    export_and_verify: Export, pooling: str | None, tmp_path: Path
) -> None:
    recipe = Recipe(weights="random", input_shape=(64, 64, 3), include_top=False, pooling=pooling)
    bundle = export_and_verify("mobilenet_v2", "cpu-fp32", output=tmp_path / "b", recipe=recipe)
    (output,) = bundle.manifest["outputs"]
    assert (output["name"], output["kind"]) == ("features", "features")
    assert len(output["shape"]) == (4 if pooling is None else 2)
    assert errors(bundle)["features"] <= 1e-4

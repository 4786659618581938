"""Every family of keras.applications, small; three at their own size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from kexport import zoo
from kexport.api import Bundle, export
from kexport.recipe import Recipe

FAMILIES = (
    "xception",
    "vgg16",
    "resnet50",
    "resnet50_v2",
    "inception_v3",
    "inception_resnet_v2",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "densenet121",
    "nasnet_mobile",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "convnext_tiny",
)
HALF = ("resnet50", "mobilenet_v3_small", "efficientnet_b0")
OWN_SIZE = ("mobilenet_v2", "resnet50", "inception_v3")


def small(name: str) -> Recipe:
    size = max(64, zoo.find(name).min_size)
    return Recipe(weights="random", input_shape=(size, size, 3), classes=100)


def errors(bundle: Bundle) -> dict[str, float]:
    return {name: row["error"] for name, row in bundle.manifest["parity"]["outputs"].items()}


def check_graph(path: Path, name: str) -> None:
    graph = onnx.load(path / "model.onnx", load_external_data=False).graph
    makers = {output: node for node in graph.node for output in node.output}
    transposes = [node for node in graph.node if node.op_type == "Transpose"]
    if not name.startswith("convnext"):
        assert len(transposes) <= 1
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            maker: Any = makers.get(node.input[0])
            assert maker is None or maker.op_type != "Conv"
    assert "Identity" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize("name", FAMILIES)
def test_float32(name: str, tmp_path: Path, passes_in_cpp: Callable[[Path], None]) -> None:
    bundle = export(name, "cpu-fp32", output=tmp_path / "b", recipe=small(name))
    passes_in_cpp(bundle.path)
    assert bundle.manifest["model"]["traced"] == []
    assert errors(bundle)["logits"] <= 1e-4
    check_graph(bundle.path, name)


@pytest.mark.parametrize("name", HALF)
def test_float16(name: str, tmp_path: Path) -> None:
    bundle = export(name, "trt-fp16", output=tmp_path / "b", recipe=small(name))
    assert errors(bundle)["logits"] <= 2e-2
    check_graph(bundle.path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_SIZE)
def test_at_its_own_size(name: str, tmp_path: Path) -> None:
    bundle = export(name, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(weights="random"))
    assert errors(bundle)["logits"] <= 1e-4
    assert bundle.manifest["inputs"][0]["shape"][1] == zoo.find(name).size
    assert (bundle.path / "labels.txt").read_text(encoding="utf-8").startswith("tench\n")
    check_graph(bundle.path, name)


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_without_a_classifier(pooling: str | None, tmp_path: Path) -> None:
    recipe = Recipe(weights="random", input_shape=(64, 64, 3), include_top=False, pooling=pooling)
    bundle = export("mobilenet_v2", "cpu-fp32", output=tmp_path / "b", recipe=recipe)
    (output,) = bundle.manifest["outputs"]
    assert (output["name"], output["kind"]) == ("features", "features")
    assert len(output["shape"]) == (4 if pooling is None else 2)
    assert errors(bundle)["features"] <= 1e-4

"""What an int8 bundle is held to: its graph's own answers, and how far an engine may stray."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from cpp_verifiers import Export
from support import digits_module, onnx_answers

import kexport
from kexport.bundle.manifest import Manifest, list_files, write_manifest
from kexport.graph.edit import numbers, required, small
from kexport.graph.emit import Emitter
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.runtime.manifest import GRAPH

Fault = Callable[[ir.Graph], None]


@pytest.fixture(scope="module")
def bundle(export_and_verify: Export, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the trained digits, calibrated on digits, which synthetic images do not resemble."""
    digits = root / "examples" / "digits"
    train, _ = digits_module(root).split()
    return export_and_verify(
        digits / "digits.keras",
        "cpu-int8",
        output=tmp_path_factory.mktemp("proof") / "digits",
        recipe=Recipe(preprocess="tf"),
        calibration=Calibration(data=train.images[:60], max_drop=0.5),
    ).path


def test_golden_answers_are_those_of_the_graph_unfused(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as golden:
        assert set(golden.files) == {"image", "predictions", f"{GRAPH}predictions"}
        images, wanted = golden["image"], golden[f"{GRAPH}predictions"]
    model = ir.load(bundle / "model.onnx")
    given = np.concatenate([onnx_answers(model, [image[np.newaxis]])[0] for image in images])
    np.testing.assert_array_equal(given, wanted)


def test_it_is_held_to_its_graph_where_keras_says_little(bundle: Path) -> None:
    rows = {row.name: row for row in kexport.verify(bundle).rows}
    assert list(rows) == ["predictions", "logits", f"{GRAPH}predictions", f"{GRAPH}logits"]
    assert all(row.passed for row in rows.values())
    own, keras = rows[f"{GRAPH}logits"], rows["logits"]
    assert own.error < own.tolerance / 2
    assert own.tolerance < keras.tolerance / 4


def rounded_down(graph: ir.Graph) -> None:
    """Round every tensor down."""
    for node in [node for node in graph if node.op_type == "QuantizeLinear"]:
        emit = Emitter.before(graph, node)
        value, step = required(node, 0), required(node, 1)
        below = emit("Add", value, emit("Mul", step, emit.number(-0.5, step)))
        node.replace_input_with(0, below)


def zero_points_off_by_one(graph: ir.Graph) -> None:
    for node in [node for node in graph if node.op_type == "QuantizeLinear"]:
        point = small(node.inputs[2])
        assert point is not None
        other = numbers(graph, f"{node.name}.other", np.asarray(point + np.uint8(1)))
        node.replace_input_with(2, other)


def another_scale(graph: ir.Graph) -> None:
    """One tensor in the middle is taken for half as large again."""
    nodes = [node for node in graph if node.op_type == "QuantizeLinear"]
    node = nodes[len(nodes) // 2]
    step = small(node.inputs[1])
    assert step is not None
    node.replace_input_with(1, numbers(graph, "other", np.asarray(step * np.float32(1.5))))


def saturated(graph: ir.Graph) -> None:
    """No weight is more than half of the largest integer."""
    for node in [node for node in graph if node.op_type == "DequantizeLinear"]:
        integers = small(node.inputs[0])
        if integers is not None and integers.dtype == np.int8:
            cut = numbers(graph, f"{node.name}.cut", np.clip(integers, -64, 64))
            node.replace_input_with(0, cut)


def scales_of_other_channels(graph: ir.Graph) -> None:
    """Give each channel of the middle convolution the scale of its neighbour."""
    nodes = [node for node in graph if node.op_type == "DequantizeLinear"]
    held = [node for node in nodes if (step := small(node.inputs[1])) is not None and step.size > 8]
    node = held[len(held) // 2]
    step = small(node.inputs[1])
    assert step is not None
    node.replace_input_with(1, numbers(graph, "other", np.roll(step, 1)))


@pytest.mark.parametrize(
    "fault",
    [rounded_down, zero_points_off_by_one, another_scale, saturated, scales_of_other_channels],
)
def test_what_computes_something_else_is_found(bundle: Path, fault: Fault, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    model = ir.load(other / "model.onnx")
    fault(model.graph)
    ir.save(model, other / "model.onnx")
    data = json.loads((other / "manifest.json").read_text())
    write_manifest(other, Manifest(**{**data, "files": list_files(other)}))
    rows = {row.name: row for row in kexport.verify(other).rows}
    assert not rows[f"{GRAPH}logits"].passed

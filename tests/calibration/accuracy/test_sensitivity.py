"""Sensitivity ranking: the groups of nodes, their order, and their sensitivities."""

from dataclasses import replace

import keras
import onnx_ir as ir
import pytest
from keras import layers
from phases import prepare_int8, simplify
from support import healthy

from kexport.calibration.accuracy.macs import count_macs
from kexport.calibration.accuracy.noise_propagation import producers
from kexport.calibration.accuracy.sensitivity import NodeGroup, rank_by_sensitivity
from kexport.calibration.execution.session import run_all
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, place
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.statistics.ranges import Range, measure_ranges
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.synthetic_images import draw_images

PICTURES = draw_images(8, 16, 16)
ENDS = ((min, "low"), (max, "high"))


@pytest.fixture(scope="module")
def floating() -> ir.Model:
    """Build a chain of two residuals as in ResNetV2, a pool, and a swish."""
    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="first")(given)
    for name in ("one", "two"):
        y = layers.ReLU()(layers.BatchNormalization(name=f"norm_{name}")(x))
        x = layers.Add(name=f"sum_{name}")([x, layers.Conv2D(8, 3, padding="same", name=name)(y)])
    x = layers.Conv2D(8, 3, name="third")(layers.MaxPooling2D()(x))
    x = layers.Conv2D(8, 1, name="last")(layers.Activation("silu", name="swish")(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    model = healthy(keras.Model(given, layers.Dense(4, name="top")(x)))
    passes = (
        *simplify("tf", None),
        *prepare_int8(18),
    )
    return pipeline.run(convert_model(model).model, passes).model


def ranges(model: ir.Model) -> dict[str, Range]:
    return measure_ranges(model, ONNXRUNTIME_CPU.tensors(model), PICTURES, batch=4, method="minmax")


def ranked(model: ir.Model, found: dict[str, Range]) -> list[NodeGroup]:
    return rank_by_sensitivity(
        model, ONNXRUNTIME_CPU, found, {}, PICTURES, lambda scores: scores, lambda done, total: None
    )


def sensitivities(model: ir.Model, found: dict[str, Range]) -> dict[str, float]:
    return {name: group.sensitivity for group in ranked(model, found) for name in group.nodes}


def test_neighbouring_elementwise_nodes_form_one_group(floating: ir.Model) -> None:
    found = ranked(floating, ranges(floating))
    names = {frozenset(name.partition("/")[0] for name in group.nodes) for group in found}
    assert names == {
        frozenset({"norm_one"}),  # no sum precedes it, and the sum after it reads `one`
        frozenset({"sum_one", "norm_two", "sum_two"}),
        frozenset({"swish"}),
        frozenset({"average"}),
        *(frozenset({name}) for name in ("first", "one", "two", "third", "last", "top")),
    }


def test_elementwise_groups_come_first_and_the_largest_ratio_leads_each_kind(
    floating: ir.Model,
) -> None:
    found = ranked(floating, ranges(floating))
    elementwise = [group.elementwise for group in found]
    assert elementwise == sorted(elementwise, reverse=True)
    for kind in (True, False):
        ratios = [group.sensitivity / group.cost for group in found if group.elementwise is kind]
        assert ratios == sorted(ratios, reverse=True)
    costs = {name: group.cost for group in found if not group.elementwise for name in group.nodes}
    assert costs == {node.name: count_macs(node) for node in floating.graph if node.name in costs}


def test_a_noisy_tensor_makes_its_producer_and_reader_sensitive(floating: ir.Model) -> None:
    """A range that is far too wide adds noise to the nodes around its tensor only."""
    found = ranges(floating)
    plain = sensitivities(floating, found)
    wide = found["last/Conv"]
    found["last/Conv"] = Range(50 * wide.low, 50 * wide.high)
    noisy = sensitivities(floating, found)
    around = {"last/Conv", "average/GlobalAveragePool"}
    assert all(noisy[name] > 10 * plain[name] for name in around)
    assert {name for name in noisy if noisy[name] != plain[name]} == around


def test_sensitivities_are_those_of_models_with_one_group_quantized(floating: ir.Model) -> None:
    """Each is compared with the noise of a model of its own in ONNX Runtime."""
    found, whole = ranges(floating), place(floating)
    for group in whole.unified:  # so that they have the same parameters without each other
        low, high = (end([getattr(found[name], side) for name in group]) for end, side in ENDS)
        found |= dict.fromkeys(group, Range(low, high))
    output = floating.graph.outputs[0].name or ""
    exact = run_all(floating, PICTURES, output)
    for group in ranked(floating, found):
        edges = {
            (node.name, index)
            for node in floating.graph
            for index, value in enumerate(node.inputs)
            if node.name in group.nodes or not group.nodes.isdisjoint(producers(value))
        }
        alone = Placement(
            group.nodes, whole.edges & edges, whole.unified, whole.weights & group.nodes
        )
        scheme = replace(ONNXRUNTIME_CPU, place=lambda *_, alone=alone: alone)
        noise = run_all(scheme.quantize(floating, found, frozenset()), PICTURES, output) - exact
        assert group.sensitivity == pytest.approx(noise.var(axis=0).mean(), rel=0.05)

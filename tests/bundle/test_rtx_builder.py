"""Builds with TensorRT-RTX: kexport's graphs, and graphs that its parser cannot read.

The builder needs no GPU. Tests that run it are skipped without TensorRT-RTX (the extra `rtx`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cpp_verifiers import Export
from support import healthy, small_classifier

from kexport import runtime, targets
from kexport.api import Bundle
from kexport.bundle import rtx_builder
from kexport.bundle.rtx_builder import EngineCheck, build_rtx_engine, require_engine
from kexport.errors import BadArgument, GraphRefused, MissingDependency
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.toolchain import Toolchain
from kexport.source.synthetic_images import draw_images

BUILT = EngineCheck("TensorRT-RTX 1.7", "built", "", 5, 1, {"FP32": 1}, ())


@pytest.fixture
def exported(export_and_verify: Export) -> Export:
    """Export a small classifier into a folder named after the target."""

    def make(folder: Path, target: str, **about: object) -> Bundle:
        model = healthy(small_classifier(), "tf")
        recipe = Recipe(preprocess="tf")
        return export_and_verify(model, target, output=folder / target, recipe=recipe, **about)

    return make


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builder")


@pytest.mark.rtx
@pytest.mark.parametrize(("target", "types"), [("rtx-fp32", "FP32"), ("rtx-fp16", "FP16")])
def test_an_engine_is_built_ahead_of_time(
    exported: Export, folder: Path, target: str, types: str
) -> None:
    bundle = exported(folder, target, toolchain=Toolchain(compute_capabilities=("8.6", "8.9")))
    check = bundle.manifest["engine_check"]
    assert check["state"] == "built"
    assert bundle.manifest["parity"]["passed"]
    found = {row["kind"]: row for row in check["coverage"]}
    assert found["convolutions"]["type"] == types
    assert found["convolutions"]["wanted"] == found["convolutions"]["found"] >= 2
    assert found["convolutions"]["strays"] == []
    record = json.loads((bundle.path / "engine.json").read_text(encoding="utf-8"))
    assert record["place"]["compute_capabilities"] == ["8.6", "8.9"]
    assert (bundle.path / "engine.plan").stat().st_size == check["bytes"] > 1000
    assert "engine.plan" not in bundle.manifest["files"]
    with pytest.warns(RuntimeWarning, match=r"engine\.plan does not run here"):
        assert runtime.verify(bundle.path).passed


@pytest.mark.rtx
def test_the_same_graph_gives_the_same_engine(
    exported: Export, folder: Path, tmp_path: Path
) -> None:
    bundle = exported(folder / "a", "rtx-fp16", toolchain=Toolchain(compute_capabilities=("8.6",)))
    build_rtx_engine(bundle.path, ir.load(bundle.path / "model.onnx"), output=tmp_path)
    for name in ("engine.plan", "engine.json"):
        assert (bundle.path / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.rtx
def test_an_unknown_compute_capability_is_refused_and_nothing_published(
    exported: Export, tmp_path: Path
) -> None:
    with pytest.raises(GraphRefused, match=r"does not build for compute capability 8\.7"):
        exported(tmp_path, "rtx-fp16", toolchain=Toolchain(compute_capabilities=("8.7",)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rtx
def test_a_free_batch_is_built_with_a_profile(exported: Export, tmp_path: Path) -> None:
    bundle = exported(tmp_path, "rtx-fp32", batch="dynamic")
    record = json.loads((bundle.path / "engine.json").read_text(encoding="utf-8"))
    batches = [shape[0] for shape in record["flags"]["profile"]["image"]]
    assert batches == [1, 8, 32]


@pytest.mark.rtx
def test_a_graph_that_the_parser_cannot_read_is_refused_with_its_node(
    exported: Export, folder: Path
) -> None:
    bundle = exported(folder / "b", "trt-fp32")
    assert bundle.manifest["engine_check"]["state"] == "built"
    model = ir.load(bundle.path / "model.onnx")
    node = next(node for node in model.graph if node.op_type == "Softmax")
    node.op_type, node.name = "Erfc", "beyond"
    ir.save(model, bundle.path / "model.onnx")
    reseal(bundle.path)
    report = build_rtx_engine(bundle.path, model)
    assert report.state == "refused"
    assert "beyond (Erfc)" in report.message


def mixed(half: bool) -> onnx.ModelProto:
    """Two convolutions, a residual between them, and one beside it in another float type."""
    inner, outer = (np.float16, np.float32) if half else (np.float32, np.float16)
    types = {np.float16: onnx.TensorProto.FLOAT16, np.float32: onnx.TensorProto.FLOAT}
    weights = np.random.default_rng(0).normal(0, 0.1, (16, 16, 1, 1))
    constants = [
        onnx.numpy_helper.from_array(weights.astype(dtype), name)
        for name, dtype in (("w", inner), ("v", outer))
    ]
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["image"], ["x"], name="in.cast", to=types[outer]),
        node("Conv", ["x", "v"], ["first"], name="first/Conv"),
        node("Cast", ["first"], ["cast"], name="first.cast", to=types[inner]),
        node("Sigmoid", ["cast"], ["sigmoid"], name="sigmoid"),
        node("Conv", ["sigmoid", "w"], ["inner"], name="inner/Conv"),
        node("Cast", ["inner"], ["inner.cast"], name="inner.cast", to=types[outer]),
        node("Add", ["first", "inner.cast"], ["sum"], name="add"),
        node("Conv", ["sum", "v"], ["last"], name="last/Conv"),
        node("Cast", ["last"], ["out"], name="out.cast", to=types[np.float32]),
    ]
    edges = [
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 16, 4, 4])]
        for name in ("image", "out")
    ]
    graph = onnx.helper.make_graph(nodes, "mixed", *edges, constants)
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.shape_inference.infer_shapes(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    )


@pytest.mark.rtx
@pytest.mark.parametrize("half", [False, True])
def test_a_fused_residual_of_another_type_does_not_count_as_a_stray(
    exported: Export, folder: Path, half: bool
) -> None:
    """The builder joins inner/Conv, inner.cast and add, and names the residual first."""
    bundle = folder / f"mixed-{half}"
    shutil.copytree(exported(folder / f"m{half}", "trt-fp32").path, bundle)
    onnx.save(mixed(half), bundle / "model.onnx")
    reseal(bundle)
    report = build_rtx_engine(bundle, ir.load(bundle / "model.onnx"))
    found = {row.type: (row.found, row.wanted, row.strays) for row in report.coverage}
    one, two = ("FP16", "FP32") if half else ("FP32", "FP16")
    assert found == {one: (1, 1, ()), two: (2, 2, ())}


@pytest.mark.rtx
def test_every_name_of_the_fake_tensorrt_is_in_the_real_one() -> None:
    import fake_tensorrt
    import tensorrt_rtx

    fake = fake_tensorrt.module("11.4.0")
    for name in ("Builder", "OnnxParser", "IExecutionContext", "Runtime", "BuilderFlag"):
        mine = {member for member in dir(getattr(fake, name)) if member[0] not in "_l"}
        assert mine <= set(dir(getattr(tensorrt_rtx, name))), name
    pairs = (("Config", "IBuilderConfig"), ("Engine", "ICudaEngine"), ("Cache", "ITimingCache"))
    others = (("Network", "INetworkDefinition"), ("Layer", "ILayer"), ("Error", "ParserError"))
    for mine_of, real in (*pairs, *others, ("Profile", "IOptimizationProfile")):
        mine = {name for name in dir(getattr(fake_tensorrt, mine_of)) if name[0] != "_"}
        mine -= {"cache", "cleared", "pools", "profiles"}
        mine -= {"precision", "set_output_type"}  # of TensorRT 8
        assert mine <= set(dir(getattr(tensorrt_rtx, real))), real


def reseal(bundle: Path) -> None:
    from kexport.bundle.manifest import Manifest, list_files, write_manifest

    path = bundle / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    write_manifest(bundle, Manifest(**{**data, "files": list_files(bundle)}))


def program(folder: Path, text: str) -> Path:
    (folder / "build_engine.py").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def nothing() -> ir.Model:
    return ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 17}), ir_version=8)


CRASHES, HANGS = "import os; os.abort()", "import time; time.sleep(60)"
REFUSES = "import sys; print('error: top (Erfc): no\\nhint: x', file=sys.stderr); sys.exit(14)"


@pytest.mark.parametrize(
    ("text", "seconds", "state", "message"),
    [
        (CRASHES, 60, "not done", "ended with signal 6"),
        (HANGS, 0.5, "not done", "took longer than 0.5 s"),
        (REFUSES, 60, "refused", "top (Erfc): no"),
    ],
)
def test_a_builder_that_crashes_hangs_or_refuses(
    tmp_path: Path,
    nothing: ir.Model,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    seconds: float,
    state: str,
    message: str,
) -> None:
    monkeypatch.setattr(rtx_builder, "version", lambda: "TensorRT-RTX 1.7")
    report = build_rtx_engine(program(tmp_path, text), nothing, seconds=seconds)
    assert (report.state, report.builder) == (state, "TensorRT-RTX 1.7")
    assert message in report.message
    require_engine(report, "x", targets.find("trt-fp16"))
    with pytest.raises(GraphRefused, match=r"TensorRT-RTX 1\.7 built no engine for x"):
        require_engine(report, "x", targets.find("rtx-fp16"))


def test_a_built_engine_is_accepted() -> None:
    require_engine(BUILT, "x", targets.find("rtx-fp16"))
    assert replace(BUILT, coverage=()).entry()["coverage"] == []


def test_without_the_extra_an_rtx_target_says_what_to_install(
    exported: Export,
    tmp_path: Path,
) -> None:
    with pytest.raises(MissingDependency) as caught:
        exported(tmp_path, "rtx-fp16")
    assert caught.value.hint == "install it with: pip install 'kexport[rtx]'"


@pytest.mark.rtx
@pytest.mark.parametrize(
    ("target", "asked", "message"),
    [
        ("trt-fp16", ("8.6",), "is built on the device, for its own GPU"),
        ("rtx-fp16", ("86",), "'86' is not a compute capability"),
    ],
)
def test_invalid_compute_capabilities_are_refused(
    exported: Export, tmp_path: Path, target: str, asked: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadArgument, match=message):
        exported(tmp_path, target, toolchain=Toolchain(compute_capabilities=asked))


@pytest.mark.rtx
@pytest.mark.parametrize(
    ("target", "tensorrt", "rest"),
    [
        ("jetson-orin-int8", None, "FP16"),
        ("jetson-orin-int8", "8.5", "FP32"),
        ("rtx-int8", None, "FP16"),
    ],
)
def test_every_int8_convolution_runs_in_int8(
    exported: Export, tmp_path: Path, target: str, tensorrt: str | None, rest: str
) -> None:
    drawn = draw_images(40, 24, 24)
    bundle = exported(
        tmp_path,
        target,
        calibration=Calibration(data=drawn),
        toolchain=Toolchain(tensorrt=tensorrt),
    )
    wanted = [node for node in ir.load(bundle.path / "model.onnx").graph if decodes_both(node)]
    found = {(row["kind"], row["type"]): row for row in bundle.manifest["engine_check"]["coverage"]}
    row = found["convolutions", "INT8"]
    assert row["wanted"] == row["found"] == len(wanted) >= 1
    assert {row["type"] for row in found.values()} == {"INT8", rest}
    assert not any(row["strays"] for row in found.values())
    assert bundle.manifest["parity"]["passed"]


def decodes_both(node: ir.Node) -> bool:
    if node.op_type != "Conv":
        return False
    sources = [value.producer() for value in node.inputs[:2] if value is not None]
    return all(source is not None and source.op_type == "DequantizeLinear" for source in sources)

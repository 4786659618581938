"""Exports for one toolchain or another: what the graph is made of, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import keras
import numpy as np
import onnx
import pytest
from cpp_verifiers import Export, Verify
from support import healthy, small_classifier

from kexport import runtime, targets
from kexport.api import export
from kexport.cli import main
from kexport.cli.tables.bundle import bundle_table
from kexport.cli.tables.table import show
from kexport.errors import BadArgument, GraphRefused
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.image_input import ImageInput
from kexport.options.toolchain import Toolchain
from kexport.source.synthetic_images import draw_images

TF = Recipe(preprocess="tf")


class Remainder(keras.layers.Layer):
    """The rest of a division; TensorRT has Mod from 8.5 on."""

    def call(self, x: Any) -> Any:
        return keras.ops.mod(x, 3.0)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return small_classifier()


@pytest.mark.parametrize(
    ("target", "versions", "toolchain", "opset", "dtype"),
    [
        ("jetson-nano-fp16", {}, "TensorRT 8.2.1, JetPack 4.6.6", 13, "float32"),
        ("jetson-orin-fp32", {"jetpack": "5.0"}, "TensorRT 8.4.1, JetPack 5.0.2", 13, "float32"),
        ("jetson-orin-fp16", {"jetpack": "6.2"}, "TensorRT 10.3.0, JetPack 6.2.1", 17, "uint8"),
        ("trt-fp32", {"tensorrt": "8.6"}, "TensorRT 8.6", 17, "uint8"),
    ],
)
def test_the_bundle_suits_the_toolchain(
    export_and_verify: Export,
    target: str,
    versions: dict[str, str],
    toolchain: str,
    opset: int,
    dtype: str,
    model: keras.Model,
    tmp_path: Path,
    root: Path,
) -> None:
    bundle = export_and_verify(
        model, target, recipe=TF, output=tmp_path / "b", toolchain=Toolchain(**versions)
    )
    manifest = bundle.manifest
    assert (manifest["target"]["toolchain"], manifest["target"]["opset"]) == (toolchain, opset)
    assert manifest["inputs"][0]["dtype"] == dtype
    assert runtime.verify(bundle.path).passed
    proto = onnx.load(bundle.path / "model.onnx")
    assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [opset]
    if dtype == "uint8":
        assert proto.graph.node[0].op_type == "Cast"
    schema = json.loads((root / "docs/manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(manifest, schema)


def test_without_a_toolchain_no_rules_are_checked(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    manifest = export_and_verify(model, "cpu-fp32", recipe=TF, output=tmp_path / "b").manifest
    assert (manifest["target"]["toolchain"], manifest["findings"]) == (None, [])


def test_warnings_go_into_manifest_and_table(
    export_and_verify: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = keras.Input((8, 3), name="signal")
    pooled = keras.Model(x, keras.layers.AveragePooling1D(2, name="pool")(x), name="flat")
    bundle = export_and_verify(pooled, "trt-fp32", output=tmp_path / "b")
    (finding,) = bundle.manifest["findings"]
    assert (finding["rule"], finding["operator"]) == ("flat-pooling", "AveragePool")
    show(bundle_table(bundle.path, bundle.manifest))
    out = capsys.readouterr().out
    assert "toolchain  TensorRT 11.4" in out
    assert "it pools along one axis" in out


def test_an_open_axis_of_a_bundle_has_a_profile(
    export_and_verify: Export,
    model: keras.Model,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = export_and_verify(model, "trt-fp32", recipe=TF, output=tmp_path / "b", batch="dynamic")
    assert bundle.manifest["findings"] == []
    assert "--minShapes=image:1x" in (bundle.path / "build_engine.sh").read_text(encoding="utf-8")
    assert main(["check", str(bundle.path / "model.onnx"), "--target", "trt"]) == 0
    assert "findings   none" in capsys.readouterr().out
    (tmp_path / "model.onnx").write_bytes((bundle.path / "model.onnx").read_bytes())
    assert main(["check", str(tmp_path / "model.onnx"), "--target", "trt"]) == 0
    assert "open-axis" in capsys.readouterr().out


def test_values_beyond_float16_that_jetpack_4_cannot_keep(tmp_path: Path) -> None:
    x = y = keras.Input((4,))
    for _ in range(2):
        y = keras.layers.Dense(4, kernel_initializer=keras.initializers.Constant(1e3))(y)
    large = keras.Model(x, y, name="wide")
    said = r"wide for jetson-nano-fp16: .* reaches .*e\+07, and float16 holds 65504 at most"
    with pytest.raises(GraphRefused, match=said) as caught:
        export(large, "jetson-nano-fp16", output=tmp_path / "b")
    assert caught.value.hint == "export it to jetson-nano-fp32"
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_breaks_a_rule_is_not_published(
    export_and_verify: Export, tmp_path: Path
) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, Remainder(name="rest")(x), name="breaker")
    said = r"breaker for jetson-nano-fp32 breaks rules of TensorRT 8.2.1, JetPack 4.6.6: .*Mod"
    with pytest.raises(GraphRefused, match=said) as caught:
        export(model, "jetson-nano-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none"))
    assert "use a newer TensorRT" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
    export_and_verify(
        model,
        "jetson-xavier-fp32",
        output=tmp_path / "b",
        recipe=Recipe(preprocess="none"),
    )


def test_an_opset_that_the_toolchain_does_not_read(
    export_and_verify: Export, model: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=r"JetPack 5\.1\.5 reads opset 17 at most, not 18"):
        export(
            model,
            "jetson-xavier-fp32",
            output=tmp_path / "b",
            toolchain=Toolchain(opset=18),
            recipe=Recipe(preprocess="none"),
        )
    found = export_and_verify(
        model, "trt-fp32", recipe=TF, output=tmp_path / "b", toolchain=Toolchain(opset=20)
    ).manifest
    assert found["target"]["opset"] == 20


def test_camera_bytes_are_refused_by_a_toolchain_without_uint8(
    model: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=r"nv12 is bytes, and TensorRT 8\.2\.1"):
        export(
            model,
            "jetson-nano-fp32",
            output=tmp_path / "b",
            recipe=TF,
            image_input=ImageInput(format="nv12"),
        )


@pytest.mark.parametrize("form", ["rgba", "nv12", "yuyv"])
def test_formats_of_a_camera(
    export_and_verify: Export, form: Any, model: keras.Model, tmp_path: Path
) -> None:
    bundle = export_and_verify(
        model, "trt-fp16", recipe=TF, output=tmp_path / "b", image_input=ImageInput(format=form)
    )
    assert bundle.manifest["findings"] == []


def test_the_versions_on_the_command_line(
    verify_in_cpp: Verify, tmp_path: Path, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    path = str(root / "examples/digits/digits.keras")
    said = ["--target", "jetson-nano-fp16", "--jetpack", "5.1", "-o", str(tmp_path / "b")]
    assert main([path, *said, "--preprocess", "tf"]) == 2
    assert "hint: the nearest that does is --jetpack 4.6.6" in capsys.readouterr().err
    said[1:4:2] = "trt-fp16", "10.3"
    said[2] = "--tensorrt"
    assert main([path, *said, "--preprocess", "tf", "--json"]) == 0
    verify_in_cpp(tmp_path / "b")
    target = json.loads(capsys.readouterr().out)["target"]
    assert (target["toolchain"], target["opset"]) == ("TensorRT 10.3", 17)


def test_pixels_are_exact_in_float16() -> None:
    """What lets a uint8 input be cast to float16 before anything else reads it."""
    bytes_ = np.arange(256, dtype=np.uint8)
    assert (bytes_.astype(np.float16) == bytes_).all()
    assert targets.find("trt-fp16").uint8_input


@pytest.mark.parametrize("target", ["jetson-orin-fp16", "jetson-orin-int8"])
def test_a_builder_that_chooses_types_gets_the_layers_that_need_float32(
    export_and_verify: Export, tmp_path: Path, target: str
) -> None:
    drawn = draw_images(40, 24, 24) if target.endswith("int8") else None
    for jetpack in ("5.1", "6.2"):
        bundle = export_and_verify(
            healthy(small_classifier()),
            target,
            output=tmp_path / jetpack,
            recipe=TF,
            toolchain=Toolchain(jetpack=jetpack),
            calibration=Calibration(data=drawn),
        )
        names = bundle.manifest["build"]["float32_layers"]
        assert any("Softmax" in name for name in names)
        script = (bundle.path / "build_engine.sh").read_text(encoding="utf-8")
        assert ("Softmax:fp32" in script) == (jetpack == "5.1")

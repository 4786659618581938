"""build_engine.py on a fake TensorRT: the calls for each release, and the files that it writes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import fake_tensorrt as fake
import onnx
import pytest

from kexport.runtime import build_cli, gpu
from kexport.runtime.errors import BadInput
from kexport.runtime.manifest import InputSpec
from kexport.runtime.optimization_profile import format_shapes, parse_shapes, profile_of


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], fake.FakeCuda]:
    """Make this a device with a GPU and a release of TensorRT."""

    def become(version: str = "10.3.0", **about: Any) -> fake.FakeCuda:
        cuda = fake.FakeCuda(**about)
        monkeypatch.setitem(sys.modules, "tensorrt", fake.module(version, cuda))
        monkeypatch.setattr(gpu, "_loaded", lambda: cuda)
        return cuda

    return become


def built() -> fake.Builder:
    assert fake.Builder.last is not None
    return fake.Builder.last


def names(flags: Any) -> set[str]:
    return {flag.name for flag in flags}


def test_an_engine_is_built_recorded_and_verified(build, device, capsys):
    device()
    bundle = build(edit=fake.for_tensorrt)
    assert build_cli.main(bundle, ["--verify"]) == 0
    said = capsys.readouterr().out
    assert "by tensorrt 10.3.0, types: those of the graph" in said
    assert "on tensorrt 10.3.0, Orin" in said
    assert (bundle / "engine.plan").read_bytes().startswith(fake.MARK)
    record = json.loads((bundle / "engine.json").read_text(encoding="utf-8"))
    assert record["place"]["gpu"] == "Orin"
    assert record["flags"]["workspace"] == 2 << 30
    assert (bundle / "timing.cache").read_bytes() == b"timed on Orin"


def test_a_matching_engine_is_kept_and_a_stale_one_rebuilt(build, device, capsys):
    device()
    bundle = build(edit=fake.for_tensorrt)
    assert build_cli.main(bundle, []) == 0
    capsys.readouterr()
    assert build_cli.main(bundle, []) == 0
    assert "exists and fits" in capsys.readouterr().out
    for changed in ({"version": "10.7.0"}, {"name": "Orin NX"}, {"capability": (8, 6)}):
        device(**changed)
        assert build_cli.main(bundle, ["--json"]) == 0
        assert json.loads(capsys.readouterr().out)["built"], changed
    for arguments in (["--workspace", "64"], ["--workspace", "64", "--force"]):
        assert build_cli.main(bundle, ["--json", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["built"], arguments


def test_outputs_outside_the_tolerances_exit_with_12(build, device, capsys):
    device()

    def spoil(data: Any) -> None:
        fake.for_tensorrt(data)
        data["parity"]["outputs"]["logits"]["tolerance"] = 1e-12

    assert build_cli.main(build(edit=spoil), ["--verify", "--json"]) == 12
    assert not json.loads(capsys.readouterr().out)["verification"]["passed"]


def test_tensorrt_8_takes_precisions_as_flags_and_keeps_float32_layers(build, device, reseal):
    device("8.5.2")
    bundle = build(edit=fake.for_tensorrt)
    model = onnx.load(bundle / "model.onnx")
    model.graph.node[-1].name = "kept"
    onnx.save(model, bundle / "model.onnx")
    reseal(bundle)
    assert build_cli.main(bundle, []) == 0
    builder = built()
    assert builder.network.flags == 1 << 0
    assert names(builder.config.flags) == {"FP16", "OBEY_PRECISION_CONSTRAINTS"}
    kept = {layer.name: layer.precision for layer in builder.network.layers}
    assert kept == {"": None, "kept": "float32"}
    flags = json.loads((bundle / "engine.json").read_text(encoding="utf-8"))["flags"]
    assert (flags["strongly_typed"], flags["fp16"], flags["int8"]) == (False, True, False)


@pytest.mark.parametrize(("version", "bit"), [("10.3.0", 1), ("11.4.0", 0)])
def test_from_10_on_engines_are_strongly_typed(build, device, version, bit):
    device(version)
    assert build_cli.main(build(edit=fake.for_tensorrt), []) == 0
    assert built().network.flags == 1 << bit
    assert names(built().config.flags) == set()


@pytest.mark.parametrize("version", ["8.5.2", "10.3.0", "11.4.0"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_fp32_engines_multiply_in_float32(build, device, version, precision):
    device(version)

    def edit(data: Any) -> None:
        fake.for_tensorrt(data)
        data["target"]["precision"] = precision

    bundle = build(edit=edit)
    assert build_cli.main(bundle, []) == 0
    exact = precision == "fp32"
    assert names(built().config.cleared) == ({"TF32"} if exact else set())
    flags = json.loads((bundle / "engine.json").read_text(encoding="utf-8"))["flags"]
    assert flags["tf32"] is not exact


def test_int8_flags_on_8(build, device):
    device("8.6.1")

    def edit(data: Any) -> None:
        fake.for_tensorrt(data)
        data["target"]["precision"], data["build"]["float32_layers"] = "int8", []

    assert build_cli.main(build(edit=edit), []) == 0
    assert names(built().config.flags) == {"FP16", "INT8"}


def test_tensorrt_8_refuses_opset_19(build, device, capsys):
    device("8.6.1")

    def edit(data: Any) -> None:
        fake.for_tensorrt(data)
        data["target"].update(precision="int8", opset=19)

    bundle = build(edit=edit)
    assert build_cli.main(bundle, []) == 14
    said = capsys.readouterr().err
    assert "the graph has opset 19, but tensorrt 8.6.1 reads 17 at most" in said
    assert "--tensorrt 8.6" in said
    assert not (bundle / "engine.plan").exists()
    device("10.3.0")
    assert build_cli.main(bundle, []) == 0


def test_command_line_flags_reach_the_builder(build, device):
    device()
    arguments = ["--version-compatible", "--hardware-compatibility-level", "ampere_plus"]
    arguments += ["--builder-optimization-level", "5", "--workspace", "100"]
    assert build_cli.main(build(edit=fake.for_tensorrt), arguments) == 0
    config = built().config
    assert names(config.flags) == {"VERSION_COMPATIBLE"}
    assert config.hardware_compatibility_level.name == "AMPERE_PLUS"
    assert config.builder_optimization_level == 5
    assert list(config.pools.values()) == [100 << 20]


def test_a_flag_that_a_release_lacks_is_refused(build, device, capsys):
    device("8.5.2")
    assert build_cli.main(build(edit=fake.for_tensorrt), ["--version-compatible"]) == 16
    assert "has no VERSION_COMPATIBLE" in capsys.readouterr().err


def test_dla_builds_list_the_layers_that_fall_back_to_the_gpu(build, device, capsys):
    device()
    bundle = build(edit=fake.for_tensorrt)
    assert build_cli.main(bundle, ["--use-dla-core", "1", "--json"]) == 0
    config = built().config
    assert (config.DLA_core, config.default_device_type.name) == (1, "DLA")
    assert names(config.flags) == {"GPU_FALLBACK", "FP16", "OBEY_PRECISION_CONSTRAINTS"}
    report = json.loads(capsys.readouterr().out)
    assert len(report["on_gpu"]) == len(built().network.layers)
    assert report["engine"]["flags"]["dla_core"] == 1
    assert build_cli.main(bundle, ["--use-dla-core", "2"]) == 16
    assert "this GPU has 2" in capsys.readouterr().err


def test_a_free_batch_gets_a_profile(build, device):
    device()
    bundle = build(edit=fake.for_tensorrt, batch=None)
    assert build_cli.main(bundle, ["--max-shapes", "image:64x8x6x3"]) == 0
    (profile,) = built().config.profiles
    assert profile.shapes == {"image": ([1, 8, 6, 3], [8, 8, 6, 3], [64, 8, 6, 3])}
    assert build_cli.main(build("fixed", edit=fake.for_tensorrt), []) == 0
    assert built().config.profiles == []


def test_the_timing_cache_is_reused_unless_another_gpu_wrote_it(build, device):
    device()
    bundle = build(edit=fake.for_tensorrt)
    for content in (b"timed on Orin", b"timed elsewhere"):
        (bundle / "timing.cache").write_bytes(content)
        assert build_cli.main(bundle, ["--force"]) == 0
        cache = built().config.cache
        assert cache is not None
        assert cache.content == (content if content == b"timed on Orin" else b"")


def test_a_failed_build_says_why_and_keeps_the_existing_engine(build, device, capsys):
    device()
    bundle = build(edit=fake.for_tensorrt)
    (bundle / "engine.plan").write_bytes(b"old")
    assert build_cli.main(bundle, ["--workspace", "0"]) == 14
    assert "could not find any implementation for node top" in capsys.readouterr().err
    assert (bundle / "engine.plan").read_bytes() == b"old"
    assert not (bundle / "engine.json").exists()


@pytest.mark.parametrize(
    ("version", "reason"),
    [("8.6.1", "node 3: not supported"), ("10.3.0", r"refused \(Softmax\): not supported")],
)
def test_a_graph_that_cannot_be_parsed_is_refused_with_its_node(
    build, device, capsys, reseal, version, reason
):
    device(version)
    bundle = build(edit=fake.for_tensorrt)
    model = onnx.load(bundle / "model.onnx")
    model.graph.node[-1].name = "refused"
    onnx.save(model, bundle / "model.onnx")
    reseal(bundle)
    assert build_cli.main(bundle, []) == 14
    assert re.search(rf"tensorrt {version} cannot read .*{reason}", capsys.readouterr().err)


def test_a_compatibility_level_that_a_release_lacks_is_refused(build, device, capsys):
    device("10.3.0")
    level = ["--hardware-compatibility-level", "same_compute_capability"]
    assert build_cli.main(build(edit=fake.for_tensorrt), level) == 16
    assert "has no SAME_COMPUTE_CAPABILITY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--min-shapes", "image:1x8x6x3"], 16, "no input 'image' has a free size"),
        (["--compute-capabilities", "8.6"], 16, "builds for the GPU that it runs on"),
        (["--verify", "--output", "/elsewhere"], 16, "--verify runs the engine in the bundle"),
    ],
)
def test_invalid_arguments_are_refused(build, device, capsys, arguments, status, message):
    device()
    assert build_cli.main(build(edit=fake.for_tensorrt), arguments) == status
    assert message in capsys.readouterr().err


def test_missing_tensorrt_or_gpu_is_reported(build, device, capsys, monkeypatch):
    device(gpus=0)
    bundle = build(edit=fake.for_tensorrt)
    assert build_cli.main(bundle, []) == 17
    assert "there is no NVIDIA GPU to run on" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert build_cli.main(bundle, []) == 17
    assert "tensorrt is needed to build an engine" in capsys.readouterr().err


def test_bundles_without_a_build_entry_are_refused(bundle, capsys):
    assert build_cli.main(bundle, []) == 14
    assert "has no engine to build" in capsys.readouterr().err


def test_an_altered_model_is_not_built(build, device, capsys):
    device()
    bundle = build(edit=fake.for_tensorrt)
    (bundle / "model.onnx").write_bytes(b"else")
    assert build_cli.main(bundle, []) == 14
    assert "model.onnx has 4 bytes" in capsys.readouterr().err


def spec(shape: tuple[int | None, ...], **about: Any) -> InputSpec:
    image = {"layout": "NHWC", "color": "RGB", "range": (0.0, 255.0), **about}
    return InputSpec("image", "uint8", shape, **image)


def test_profiles_of_images_of_any_size() -> None:
    found = profile_of([spec((None, None, None, 3))])
    assert found == {"image": [[1, 32, 32, 3], [8, 480, 640, 3], [32, 1080, 1920, 3]]}
    first = profile_of([spec((1, 3, None, None), layout="NCHW")])
    assert first == {"image": [[1, 3, 32, 32], [1, 3, 480, 640], [1, 3, 1080, 1920]]}
    assert profile_of([spec((1, 8, 8, 3))]) == {}
    plain = profile_of([spec((None, None), layout=None, color=None, range=None)])
    assert plain == {"image": [[1, 1], [8, 128], [32, 512]]}


def test_shapes_use_the_notation_of_trtexec() -> None:
    text = "image:1x224x224x3,other:8"
    assert parse_shapes(text) == {"image": [1, 224, 224, 3], "other": [8]}
    assert format_shapes(parse_shapes(text)) == text
    for wrong in ("image", "image:", "image:1,2", "image:ax2"):
        with pytest.raises(ValueError, match="is not of the form"):
            parse_shapes(wrong)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (({}, {}, {"image": [4, 9, 8, 3]}), r"takes uint8 \[N, 8, 8, 3\], not 4x9x8x3"),
        (({}, {}, {"image": [4, 8, 8]}), "not 4x8x8"),
        (({"image": [0, 8, 8, 3]}, {}, {}), "not 0x8x8x3"),
        (({}, {}, {"image": [4, 8, 8, 3]}), "do not grow"),
        (({"else": [1]}, {}, {}), "no input 'else' has a free size"),
    ],
)
def test_contradictory_shapes_are_refused(said: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        profile_of([spec((None, 8, 8, 3))], said)

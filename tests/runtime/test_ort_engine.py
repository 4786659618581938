import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from kexport.runtime import BadInput, BundleRefused, EngineMissing, load
from kexport.runtime.ort_engine import PROVIDERS, preload

WITHOUT_CUDA = "CUDAExecutionProvider" not in onnxruntime.get_available_providers()


@pytest.mark.parametrize("device", ["cpu", "arm64", "trt", "jetson-orin"])
def test_the_reference_runs_on_the_cpu(build, device: str):
    bundle = build(edit=lambda data: data["target"].update(device=device))
    engine = load(bundle).engine
    assert engine.name == f"onnxruntime {onnxruntime.__version__}, CPUExecutionProvider"


@pytest.mark.skipif(not WITHOUT_CUDA, reason="CUDA loads here")
def test_a_provider_that_does_not_load_is_reported(build):
    bundle = build(edit=lambda data: data["target"].update(device="cuda"))
    with pytest.warns(
        RuntimeWarning, match="runs on CPUExecutionProvider; install onnxr"
    ) as caught:
        session = load(bundle)
    assert caught[0].filename == __file__
    assert "CPUExecutionProvider" in session.engine.name


def test_every_provider_is_one_that_onnx_runtime_knows():
    known = onnxruntime.get_all_providers()
    assert {name for names in PROVIDERS.values() for name in names} <= set(known)


@pytest.mark.parametrize(
    ("precision", "release", "wanted"),
    [
        ("fp32", "1.31.1", {"use_tf32": "0"}),
        ("fp32", "1.17.3", {}),
        ("fp16", "1.31.1", {}),
    ],
)
def test_cuda_multiplies_in_float32_for_fp32(
    build, monkeypatch, precision: str, release: str, wanted: dict[str, str]
):
    """GPUs from Ampere on use TensorFloat-32 by default; releases before 1.18 refuse the option."""
    given = {}

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path, sess_options, providers, provider_options):
            given.update(zip(providers, provider_options, strict=True))
            super().__init__(path, sess_options, ["CPUExecutionProvider"])

    def edit(data):
        data["target"]["device"], data["target"]["precision"] = "cuda", precision

    monkeypatch.setattr(onnxruntime, "__version__", release)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*PROVIDERS["cuda"]])
    with pytest.warns(RuntimeWarning, match="did not load"):
        load(build(edit=edit))
    assert given == {"CUDAExecutionProvider": wanted, "CPUExecutionProvider": {}}


@pytest.mark.parametrize(
    ("device", "package"), [("cpu", "onnxruntime"), ("cuda", "onnxruntime-gpu")]
)
def test_without_onnxruntime(build, monkeypatch, device: str, package: str):
    bundle = build(edit=lambda data: data["target"].update(device=device))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineMissing) as caught:
        load(bundle)
    assert caught.value.exit_code == 17
    assert caught.value.hint == f"run: pip install {package}"


@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_truncated_model(bundle: Path, keep: float):
    content = (bundle / "model.onnx").read_bytes()
    kept = int(keep * len(content)) if isinstance(keep, float) else keep
    (bundle / "model.onnx").write_bytes(content[:kept])
    with pytest.raises(BundleRefused, match=r"cannot load .*model\.onnx: ") as caught:
        load(bundle, check=False)
    assert caught.value.hint == "copy the bundle again whole, or upgrade onnxruntime"


def test_a_missing_model(bundle: Path):
    (bundle / "model.onnx").unlink()
    with pytest.raises(BundleRefused, match=r"cannot load .*model\.onnx"):
        load(bundle, check=False)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda data: data["inputs"][0].update(name="photo"),
            "model.onnx has an input 'image' that the manifest does not list",
        ),
        (
            lambda data: data["inputs"].append({**data["inputs"][0], "name": "more"}),
            "model.onnx has no input 'more', which the manifest lists",
        ),
        (
            lambda data: data["outputs"][0].update(name="scores"),
            "model.onnx has no output 'scores', which the manifest lists",
        ),
        (
            lambda data: data["outputs"][0].update(dtype="float16"),
            "output 'probabilities' of model.onnx is float32 [1, 5], "
            "and the manifest says float16 [1, 5]",
        ),
        (
            lambda data: data["inputs"][0].update(shape=[1, 6, 8, 3]),
            "input 'image' of model.onnx is uint8 [1, 8, 6, 3], "
            "and the manifest says uint8 [1, 6, 8, 3]",
        ),
    ],
)
def test_a_manifest_that_describes_another_model(build, edit, message: str):
    with pytest.raises(BundleRefused) as caught:
        load(build(edit=edit, labels=None))
    assert str(caught.value) == message


def test_a_size_that_the_model_refuses_at_run_time(build, rewrite, reseal):
    """The manifest leaves the height free and the graph reshapes 8: only the engine can tell."""
    bundle = build(labels=None)
    model = onnx.load(bundle / "model.onnx")
    dimension = model.graph.input[0].type.tensor_type.shape.dim[1]
    dimension.dim_param = "H"
    shape = onnx.numpy_helper.from_array(np.array([1, 48, 1, 3], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[0].input[0] = "flat"
    reshape = onnx.helper.make_node("Reshape", ["image", "shape"], ["flat"])
    model.graph.node.insert(0, reshape)
    onnx.save(model, bundle / "model.onnx")
    rewrite(bundle, lambda data: data["inputs"][0]["shape"].__setitem__(1, None))
    reseal(bundle)
    session = load(bundle)
    assert session.run(np.zeros((1, 8, 6, 3), np.uint8))["probabilities"].shape == (1, 5)
    with pytest.raises(BadInput, match=r"onnxruntime failed on uint8 \[1, 9, 6, 3\]"):
        session.run(np.zeros((1, 9, 6, 3), np.uint8))


def test_preloading_cuda_prints_nothing(capsys):
    calls = []

    class WithWheels:
        @staticmethod
        def preload_dlls():
            calls.append("cuda")
            sys.stdout.write("Failed to load libcudart.so.13\n")

    assert preload(WithWheels) == "Failed to load libcudart.so.13\n"
    assert preload(object()) == ""
    assert calls == ["cuda"]
    assert capsys.readouterr().out == ""

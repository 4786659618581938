"""A tiny bundle made by hand: the mean colour of an 8 x 6 image, scored for five classes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import kexport.runtime
from kexport.runtime.manifest_schema import REQUIRED

HEIGHT, WIDTH, CLASSES = 8, 6, 5
PROGRAMS = ("run.py", "build_engine.py")
LABELS = ["coal", "tomato", "grass", "sea", "snow"]
# each class answers to one colour: black, red, green, blue, white
COLOURS = np.array([[-1, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]], np.float32)
WEIGHTS = (COLOURS.T / 40).astype(np.float32)
BIAS = (-127.5 * COLOURS.sum(axis=1) / 40).astype(np.float32)


def mean_colour_model(batch: int | None, external: bool = False) -> onnx.ModelProto:
    """uint8 NHWC -> Cast -> mean over height and width -> Gemm -> logits -> Softmax."""
    size: int | str = "N" if batch is None else batch
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["features"], keepdims=0),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "mean_colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [size, HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [size, CLASSES]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [size, CLASSES]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [size, 3]),
        ],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(WEIGHTS, "weights"),
            numpy_helper.from_array(BIAS, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def expected(images: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the model's outputs in NumPy and float64."""
    features = images.astype(np.float64).mean(axis=(1, 2))
    logits = features @ WEIGHTS.astype(np.float64) + BIAS
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    return {"probabilities": probabilities, "logits": logits, "features": features}


def random_images(count: int, seed: int = 0) -> np.ndarray:
    """Draw images of noise around a different colour each."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (count, 1, 1, 3))
    noise = random.integers(-20, 21, (count, HEIGHT, WIDTH, 3))
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def image_manifest(batch: int | None = 1, outputs: tuple[str, ...] = ("probabilities",)) -> Any:
    """Return a manifest for the model, without files."""
    sizes = {"probabilities": CLASSES, "logits": CLASSES, "features": 3}
    measured = [*outputs, *(["logits"] if "probabilities" in outputs else [])]
    return {
        "schema": 1,
        "kexport": "0.1.0",
        "created": None,
        "model": {
            "name": "mean_colour",
            "source": "mean_colour.keras",
            "sha256": "0" * 64,
            "weights": "mean_colour.keras",
        },
        "target": {
            "name": "cpu-fp32",
            "device": "cpu",
            "precision": "fp32",
            "opset": 20,
            "toolchain": None,
        },
        "inputs": [
            {
                "name": "image",
                "dtype": "uint8",
                "shape": [batch, HEIGHT, WIDTH, 3],
                "layout": "NHWC",
                "color": "RGB",
                "range": [0, 255],
            }
        ],
        "outputs": [
            {
                "name": name,
                "dtype": "float32",
                "shape": [batch, sizes[name]],
                "kind": name,
                "layer": "top",
            }
            for name in outputs
        ],
        "preprocessing": {"mode": "none", "folded": True},
        "parity": {
            "images": 4,
            "passed": True,
            "outputs": {
                name: {
                    "max_abs": 1e-7,
                    "error": 1e-6,
                    "tolerance": 1e-4,
                    "top1_agreement": None if name == "features" else 1.0,
                }
                for name in dict.fromkeys(measured)
            },
        },
        "quantization": None,
        "steps": [{"name": "convert", "seconds": None, "nodes_before": 0, "nodes_after": 4}],
        "versions": {"keras": "3.12.0", "onnx": "1.18.0"},
        "files": {},
    }


def seal(bundle: Path, manifest: Any) -> None:
    """Write manifest.json for the files that lie in the folder."""
    paths = sorted(path for path in bundle.rglob("*") if path.is_file())
    manifest["files"] = {
        path.relative_to(bundle).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in paths
        if path.name != "manifest.json" and "__pycache__" not in path.parts
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def save_golden(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Build a bundle in a temporary folder; `edit` may change its manifest before it is sealed."""

    def build_bundle(
        name: str = "bundle",
        batch: int | None = 1,
        outputs: tuple[str, ...] = ("probabilities",),
        labels: list[str] | None = LABELS,
        golden: int = 4,
        edit: Callable[[Any], None] | None = None,
        program: bool = False,
    ) -> Path:
        bundle = tmp_path / name
        bundle.mkdir()
        onnx.save(mean_colour_model(batch), bundle / "model.onnx")
        if labels is not None:
            lines = "".join(f"{label}\n" for label in labels)
            (bundle / "labels.txt").write_text(lines, encoding="utf-8")
        images = random_images(golden)
        answers = {k: v.astype(np.float32) for k, v in expected(images).items() if k in outputs}
        save_golden(bundle / "golden.npz", {"image": images, **answers})
        source = Path(kexport.runtime.__file__).parent
        ignored = shutil.ignore_patterns("__pycache__", "cpp", *PROGRAMS)
        if program:
            shutil.copytree(source, bundle / "runtime", ignore=ignored)
        else:
            (bundle / "runtime").mkdir()
            shutil.copy(source / "__init__.py", bundle / "runtime")
        for name in PROGRAMS[: 2 if program else 1]:
            shutil.copy(source / name, bundle)
        manifest = image_manifest(batch, outputs)
        if edit is not None:
            edit(manifest)
        seal(bundle, manifest)
        return bundle

    return build_bundle


@pytest.fixture
def bundle(build: Callable[..., Path]) -> Path:
    """Build the default bundle: batch 1, probabilities, labels, CPU."""
    return build()


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[Any], None]], None]:
    """Change manifest.json of a bundle and nothing else."""

    def change(bundle: Path, edit: Callable[[Any], None]) -> None:
        path = bundle / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        edit(manifest)
        path.write_text(json.dumps(manifest), encoding="utf-8")

    return change


@pytest.fixture
def reseal() -> Callable[[Path], None]:
    """Rewrite the manifest's file table, as a forger would."""

    def change(bundle: Path) -> None:
        seal(bundle, json.loads((bundle / "manifest.json").read_text(encoding="utf-8")))

    return change


@pytest.fixture
def one_number(build: Callable[..., Path], reseal, rewrite) -> Callable[..., Path]:
    """Return a function for a bundle that gives (mean green - 127.5) / 40, as a task reads it."""

    def make(labels: list[str] | None, **task: Any) -> Path:
        bundle = build(outputs=("features",), labels=None)
        model = onnx.load(bundle / "model.onnx")
        weights = np.array([[0], [1 / 40], [0]], np.float32)
        model.graph.node.append(helper.make_node("Gemm", ["features", "w", "b"], ["y"]))
        model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
        model.graph.initializer.append(
            numpy_helper.from_array(np.array([-127.5 / 40], np.float32), "b")
        )
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1]))
        onnx.save(model, bundle / "model.onnx")
        if labels is not None:
            (bundle / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")

        def describe(data: Any) -> None:
            data["outputs"][0].update(name="y", shape=[1, 1], kind="tensor")
            data["task"] = task

        rewrite(bundle, describe)
        reseal(bundle)
        return bundle

    return make


@pytest.fixture
def masked(build: Callable[..., Path], reseal, rewrite) -> Callable[..., Path]:
    """Return a function for a bundle whose scores [1, 8, 6, channels] are the image's channels.

    With one channel they are logits, (red - 127.5) / 40.
    """

    def make(
        channels: int, labels: list[str] | None = None, palette: Any = None, **task: Any
    ) -> Path:
        bundle = build(f"mask{channels}{palette}", outputs=("features",), labels=None)
        weights = np.eye(3, channels, dtype=np.float32)
        bias = np.zeros(channels, np.float32)
        if channels == 1:
            weights, bias = weights / 40, bias - np.float32(127.5 / 40)
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
                helper.make_node("MatMul", ["pixels", "w"], ["x"]),
                helper.make_node("Add", ["x", "b"], ["y"]),
            ],
            "mask",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, HEIGHT, WIDTH, channels])],
            [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.save(model, bundle / "model.onnx")
        if labels is not None:
            (bundle / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
        told = {
            "name": "segment",
            "output": "y",
            "from_logits": channels == 1,
            "threshold": 0.5 if channels == 1 else None,
            "palette": palette,
        }

        def describe(data: Any) -> None:
            shape = [1, HEIGHT, WIDTH, channels]
            data["outputs"][0].update(name="y", shape=shape, kind="tensor")
            data["task"] = {**told, **task}

        rewrite(bundle, describe)
        reseal(bundle)
        return bundle

    return make


@pytest.fixture
def boxed(build: Callable[..., Path], reseal, rewrite) -> Callable[..., Path]:
    """Return a function for a bundle that reads 24 rows of 6 numbers in its image, over 255: a box
    and two scores, of which the first may be logits less 0.5.
    """

    def make(form: str, relative: bool = True, logits: bool = False, scale: float = 1) -> Path:
        bundle = build(f"box-{form}-{logits}", outputs=("features",), labels=None)
        factors = np.array([scale] * 4 + [4.0 if logits else 1.0] * 2, np.float32) / 255
        offsets = np.array([0] * 4 + [-2.0 if logits else 0.0] * 2, np.float32)
        arrays = {
            "factors": factors,
            "offsets": offsets,
            "shape": np.array([1, 24, 6], np.int64),
        }
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
                helper.make_node("Reshape", ["pixels", "shape"], ["rows"]),
                helper.make_node("Mul", ["rows", "factors"], ["scaled"]),
                helper.make_node("Add", ["scaled", "offsets"], ["y"]),
            ],
            "boxes",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 24, 6])],
            [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.save(model, bundle / "model.onnx")

        def describe(data: Any) -> None:
            data["outputs"][0].update(name="y", shape=[1, 24, 6], kind="tensor")
            data["task"] = {
                "name": "detect",
                "boxes": "y",
                "scores": "y",
                "format": form,
                "relative": relative,
                "from_logits": logits,
                "threshold": 0.5,
                "iou": 0.5,
            }

        rewrite(bundle, describe)
        reseal(bundle)
        return bundle

    return make


@pytest.fixture
def manifest() -> Any:
    """Return a valid manifest of an image model, as parsed JSON."""
    data = image_manifest()
    data["files"] = {name: {"sha256": "a" * 64, "bytes": 1} for name in REQUIRED}
    return data


@pytest.fixture
def sample_images() -> Callable[..., np.ndarray]:
    return random_images


@pytest.fixture
def truth() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    return expected

"""The runtime's schema checks and docs/manifest.schema.json agree on every manifest."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kexport.runtime.manifest_schema import faults

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 255, 1.0, 0.5, 1.5, -0.5, 1e300),
    *("", "x", "NHWC", "NCHW", "RGB", "BGRA", "GRAY", "NV12", "YUYV", "uint8", "float32"),
    *("binary", "multilabel", "segment", "detect", "regress", "embed", "image", "raw", "xywh"),
    *([[0, 0, 0]], [[0, 256, 0]], [[0.5, 0, 0]], [[0, 0]]),
    *("logits", "scores", "indices", "tf", "nearest", "center", "cv2-area", "pad"),
    *("a" * 64, "A" * 64, "a" * 64 + "\n"),
    *([], [1], [0, 255], [None, 8, 6, 1], [1, 8, 6, 3], [1, 3, 8, 6], [1, 4, 8, 6], [8, 6]),
    *([1, 8, 6, 3, 3], [1.5], [None], ["x"]),
    *(
        {},
        {"method": "pil-box", "fit": "stretch"},
        {"x": 1},
        {"x": "y"},
        {"name": "x"},
        {"kind": "logits", "classes": 5},
    ),
)

SCORED = {"output": "probabilities", "from_logits": False}
TASKS: tuple[dict[str, Any], ...] = (
    {"name": "classify", **SCORED},
    {"name": "binary", **SCORED, "threshold": 0.5, "reason": None},
    {"name": "multilabel", **SCORED, "threshold": 1},
    {"name": "segment", **SCORED, "threshold": None, "palette": None},
    {"name": "segment", **SCORED, "threshold": 0.5, "palette": [[0, 0, 0], [255, 128, 0]]},
    {"name": "regress", "outputs": ["probabilities"]},
    {
        "name": "detect",
        "boxes": "probabilities",
        "scores": "probabilities",
        "format": "xyxy",
        "relative": True,
        "from_logits": False,
        "threshold": 0.5,
        "iou": 1,
    },
    {"name": "embed", "output": "probabilities"},
    {"name": "image", "output": "probabilities", "range": [-1, 1]},
    {"name": "raw"},
)

PATHS = (
    *(
        "a",
        "a/b",
        "model.onnx",
        "runtime/ort_engine.py",
        "a b",
        "a..b",
        "..a",
        "a..",
        ".hidden",
        "...",
        "ä/ö",
    ),
    *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/..", "a/../b", "a/./b", "a/."),
    *("a\\b", "\\a", "C:a", "C:/a", "a\n", "a\0", "a/\n", "a\x1f", "..\n", "a/b\n"),
)


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    rules = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(rules)
    return Draft202012Validator(rules)


def variants(manifest: Any) -> Iterator[Any]:
    """Return valid manifests that together reach every branch of the schema."""
    yield manifest
    grey = copy.deepcopy(manifest)
    grey["inputs"][0].update(color="GRAY", shape=[None, None, None, 1])
    grey.update(created="2026-01-01T00:00:00Z", quantization={"scheme": "int8"})
    grey["preprocessing"].update(
        mode="custom", scale=[0.5], mean=[1.0, 2.0, 3.0], std=[1], bgr=True
    )
    grey["target"].update(device="trt", toolchain="10.3")
    grey["build"] = {
        "builder": "tensorrt",
        "program": "build_engine.py",
        "version": "10.3",
        "float32_layers": ["top/Softmax"],
        "compute_capabilities": ["8.6"],
    }
    yield grey
    plain = copy.deepcopy(manifest)
    plain["inputs"][0].update(dtype="float32", shape=[None, 4], layout=None, color=None, range=None)
    plain["outputs"][0].update(kind="tensor", shape=[])
    plain["steps"] = []
    plain["later"] = {"key": "that this version does not know"}
    yield plain
    planar = copy.deepcopy(manifest)
    planar["inputs"][0].update(
        color="BGRA", layout="NCHW", dtype="float32", shape=[1, 4, None, None]
    )
    planar["inputs"][0].update(resize={"method": "tf-bilinear-antialias", "fit": "crop"})
    planar["preprocessing"].update(resize="bilinear", crop="center", size=[8, 6])
    best = {"kind": "probabilities", "classes": 5}
    planar["outputs"] = [
        {"name": "indices", "dtype": "int64", "shape": [1, 3], "kind": "indices", "of": best},
        {"name": "scores", "dtype": "float32", "shape": [1, 3], "kind": "scores", "of": best},
    ]
    for output in planar["outputs"]:
        output["layer"] = "top"
    yield planar
    for task in TASKS:
        told = copy.deepcopy(manifest)
        told["task"] = task
        yield told
    for color, channels in (("NV12", 1), ("YUYV", 2)):
        camera = copy.deepcopy(manifest)
        camera["inputs"][0].update(color=color, shape=[1, None, None, channels])
        yield camera


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from places(item, (*path, key))


def changed(manifest: Any, path: tuple[Any, ...], value: Any, delete: bool = False) -> Any:
    if not path:
        return value
    result = copy.deepcopy(manifest)
    holder = result
    for key in path[:-1]:
        holder = holder[key]
    if delete:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return result


def accepted(manifest: Any) -> bool:
    return not list(faults(manifest))


def test_valid_manifests_are_accepted_by_both(manifest: Any, schema: Draft202012Validator):
    for valid in variants(manifest):
        assert list(faults(valid)) == []
        assert schema.is_valid(valid)


@pytest.mark.slow
def test_both_agree_on_every_mutation(manifest: Any, schema: Draft202012Validator):
    verdicts: dict[bool, int] = {True: 0, False: 0}
    first, *others = variants(manifest)
    cases = [(first, path) for path in places(first)]
    for key in ("inputs", "outputs", "preprocessing", "task"):
        having = [other for other in others if key in other]
        cases += [(other, path) for other in having for path in places(other[key], (key,))]
    for valid, path in cases:
        mutants = [changed(valid, path, value) for value in VALUES]
        if path:
            mutants.append(changed(valid, path, None, delete=True))
        for mutant in mutants:
            verdict = accepted(mutant)
            assert schema.is_valid(mutant) == verdict, (path, list(faults(mutant)))
            verdicts[verdict] += 1
    assert verdicts[True] > 300
    assert verdicts[False] > 3000


@pytest.mark.parametrize("name", PATHS)
def test_both_agree_on_file_names(name: str, manifest: Any, schema: Draft202012Validator):
    manifest["files"][name] = {"sha256": "a" * 64, "bytes": 0}
    assert schema.is_valid(manifest) == accepted(manifest)


def test_which_file_names_stay_inside(manifest: Any):
    def inside(name: str) -> bool:
        files = {**manifest["files"], name: {"sha256": "a" * 64, "bytes": 0}}
        return accepted({**manifest, "files": files})

    assert [name for name in PATHS if inside(name)] == list(PATHS[:11])


def test_every_required_key_is_named_when_missing(manifest: Any, schema: Draft202012Validator):
    for key in schema.schema["required"]:
        without = {k: v for k, v in manifest.items() if k != key}
        assert list(faults(without)) == [f"{key} is missing"]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), float("-inf"), 10**400])
@pytest.mark.parametrize(
    "path",
    [
        ("parity", "outputs", "probabilities", "tolerance"),
        ("inputs", 0, "range", 1),
        ("target", "opset"),
        ("files", "model.onnx", "bytes"),
    ],
)
def test_numbers_are_finite(manifest: Any, path: Any, value: float):
    """JSON Schema cannot say so, and JSON has no such numbers; Python reads them from 1e999."""
    assert " must be a " in next(faults(changed(manifest, path, value)))


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("inputs", 0, "dtype"), "uint9", "inputs[0].dtype must be 'bool' or 'uint8' or"),
        (("inputs", 0, "shape", 3), 4, "inputs[0].shape[3] must be 3, not 4"),
        (("outputs",), [], "outputs must be a list of at least 1, not a list of 0"),
        (("target", "opset"), "20", "target.opset must be a whole number of at least 1, not '20'"),
        (("parity", "passed"), 1, "parity.passed must be true or false, not 1"),
        (("model", "sha256"), "abc", "model.sha256 must be a SHA-256 in lower-case hexadecimal"),
        (("files", "../x"), {"sha256": "a" * 64, "bytes": 0}, "a name in files must be a path"),
        (("quantization",), True, "quantization must be an object, not true"),
        ((), [], "the manifest must be an object, not a list of 0"),
    ],
)
def test_a_fault_says_where_and_what(manifest: Any, path: Any, value: Any, fault: str):
    assert next(faults(changed(manifest, path, value))).startswith(fault)

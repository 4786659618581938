"""INT8 export: the bundle, its manifest entry, and the refusals."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from cpp_verifiers import Export, Verify
from PIL import Image
from rich.console import Console
from support import digits_module, healthy, small_classifier

import kexport
from kexport.api import Bundle, export
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.calibration.quantizer.qparams import QParams, asymmetric_qparams
from kexport.calibration.statistics.histogram import Range
from kexport.cli import main
from kexport.cli.tables.int8 import quantization_table
from kexport.errors import (
    BadArgument,
    KexportError,
    OutputFailed,
    QuantizationRefused,
    UnsupportedModel,
)
from kexport.options.application import Recipe
from kexport.options.calibration import METHODS, Calibration
from kexport.options.calibration import METHODS as CALIBRATION_METHODS
from kexport.options.image_input import ImageInput
from kexport.source.synthetic_images import draw_images
from kexport.stages import quantize

SIZE = 24
TF = Recipe(preprocess="tf")
DRAWN = draw_images(32, SIZE, SIZE, seed=1)
LOOSE = Calibration(data=DRAWN, max_drop=0.3)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return healthy(small_classifier(SIZE), "tf")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "ranges.json"


@pytest.fixture(scope="module")
def bundle(
    export_and_verify: Export,
    model: keras.Model,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    folder = tmp_path_factory.mktemp("int8") / "small"
    return export_and_verify(
        model, "cpu-int8", output=folder, recipe=TF, calibration=replace(LOOSE, cache=cache)
    )


def test_the_bundle_takes_uint8_and_verifies(bundle: Bundle) -> None:
    verified = kexport.verify(bundle.path)
    assert verified.passed
    graph = ir.load(bundle.path / "model.onnx").graph
    assert graph.inputs[0].dtype == ir.DataType.UINT8
    assert not [node for node in graph if node.op_type in ("Cast", "BatchNormalization")]
    weights = [v for v in graph.initializers.values() if v.const_value.size > 64]
    assert {value.dtype for value in weights} == {ir.DataType.INT8}


def test_the_manifest_records_the_quantization(bundle: Bundle) -> None:
    entry = bundle.manifest["quantization"]
    assert (entry["method"], entry["images"], entry["judged_on"]) == ("mse", 16, 16)
    gate = entry["gate"]
    assert (gate["measure"], gate["max_drop"], gate["int8_share"]) == ("agreement", 0.3, 0.5)
    assert (gate["outcome"], gate["images_to_decide"]) == ("passed", None)
    low, high = gate["interval"]
    assert low <= gate["drop"] <= high <= 0.3
    assert 0 <= gate["predicted_drop"] <= 0.3
    assert entry["multiply_adds_int8"] == 1.0
    assert entry["float_nodes"] == entry["skipped"] == []
    names = [step["name"] for step in entry["steps"]]
    assert names[:3] == ["quantised", "equalisation", "rounding and bias correction"]
    assert names[3:] in ([], ["bias correction"])
    assert len(entry["layers"]) == 4
    assert all(row["sqnr"] > 10 for row in entry["layers"])
    assert max(step["sqnr"] for step in entry["steps"]) > 20
    assert bundle.manifest["parity"]["passed"]


def test_speed_is_reported_but_not_in_the_manifest(bundle: Bundle) -> None:
    assert bundle.manifest["quantization"]["speed"] is None
    assert bundle.speed is not None
    assert bundle.speed.float_ms > 0 < bundle.speed.int8_ms


def test_held_out_images_are_golden_where_the_user_agrees(
    export_and_verify: Export, model: keras.Model, cache: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """They are some of the images given, Keras' answers are for them, and int8 is near Keras."""
    made = export_and_verify(
        model,
        "cpu-int8",
        output=tmp_path / "b",
        recipe=TF,
        calibration=replace(LOOSE, cache=cache, ship_images=3),
    )
    assert (made.manifest["quantization"]["shipped"], made.manifest["parity"]["images"]) == (3, 3)
    assert next(iter(made.manifest["parity"]["probes"])) == "the drawn images"
    with np.load(made.path / "golden.npz") as golden:
        images, answers = golden["image"], golden["top"]
    assert all(any(np.array_equal(one, own) for own in DRAWN) for one in images)
    expected = model.predict(images / np.float32(127.5) - 1, verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert made.manifest["quantization"]["steps"] == bundle.manifest["quantization"]["steps"]
    near, far = (one.manifest["parity"]["outputs"]["logits"]["tolerance"] for one in (made, bundle))
    assert near < far


def test_a_cache_gives_the_same_bundle(
    export_and_verify: Export, bundle: Bundle, model: keras.Model, cache: Path, tmp_path: Path
) -> None:
    assert set(json.loads(cache.read_text())) >= {"key", "ranges"}
    again = export_and_verify(
        model,
        "cpu-int8",
        output=tmp_path / "again",
        recipe=TF,
        calibration=replace(LOOSE, cache=cache),
    )
    assert again.manifest == bundle.manifest


def test_a_cache_of_another_model_is_refused(bundle: Bundle, cache: Path, tmp_path: Path) -> None:
    other = healthy(small_classifier(SIZE, classes=7), "tf")
    with pytest.raises(BadArgument, match="of another model"):
        export(
            other,
            "cpu-int8",
            output=tmp_path / "x",
            recipe=TF,
            calibration=replace(LOOSE, cache=cache),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_refused(model: keras.Model, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "ranges.json"
    with pytest.raises(OutputFailed, match=r"cache .* cannot be written"):
        export(
            model,
            "cpu-int8",
            output=tmp_path / "x",
            recipe=TF,
            calibration=replace(LOOSE, cache=nowhere),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_speedup_below_the_required_one_is_refused(
    model: keras.Model, cache: Path, bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(QuantizationRefused, match="times as fast as fp32") as caught:
        export(
            model,
            "cpu-int8",
            output=tmp_path / "x",
            recipe=TF,
            calibration=replace(LOOSE, cache=cache, require_speedup=1000.0),
        )
    assert caught.value.exit_code == 19
    assert list(tmp_path.iterdir()) == []


def coarse(value: ir.Value, extent: Range) -> QParams:
    """Compute parameters with so few levels that nothing is left of an image."""
    found = asymmetric_qparams(extent)
    return QParams(found.scale * 200, np.asarray(found.zero_point // 200, np.uint8), "uint8")


@pytest.mark.slow
def test_a_model_that_loses_too_much_accuracy_is_refused(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = replace(ONNXRUNTIME_CPU, activation_qparams=coarse)
    monkeypatch.setitem(quantize.SCHEMES, "onnxruntime", scheme)
    with pytest.raises(QuantizationRefused, match=r"int8 costs too much accuracy: .*%") as caught:
        export(
            model,
            "cpu-int8",
            output=tmp_path / "x",
            recipe=TF,
            calibration=Calibration(data=DRAWN, max_drop=0.0),
        )
    assert "more than the limit of 0.0%, after quantised, " in str(caught.value)
    assert "layers in float" in str(caught.value)
    assert any("times fp32" in line for line in caught.value.details)
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_nan_is_refused(tmp_path: Path) -> None:
    broken = healthy(small_classifier(SIZE), "tf")
    kernel = np.asarray(broken.get_layer("reduce").kernel).copy()
    kernel[0, 0, 0, 0] = np.nan
    broken.get_layer("reduce").kernel.assign(kernel)
    with pytest.raises(UnsupportedModel, match="not finite"):
        export(broken, "cpu-int8", output=tmp_path / "x", recipe=TF, calibration=LOOSE)
    assert list(tmp_path.iterdir()) == []


def folder_of(place: Path, images: Any, suffix: str = "png") -> Path:
    place.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(place / f"{number}.{suffix}")
    return place


def not_images(place: Path) -> Path:
    place.mkdir()
    for number in range(20):
        (place / f"{number}.jpg").write_text("not an image")
    return place


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (lambda path: path / "nowhere", "does not exist", "folder of images"),
        (lambda path: folder_of(path / "p", []), "is empty", "folder of images"),
        (lambda path: not_images(path / "p"), "images .* are damaged", "remove the damaged"),
        (lambda path: folder_of(path / "p", DRAWN[:9]), "9 usable images", "at least 16"),
        (
            lambda path: folder_of(path / "p", [DRAWN[0]] * 20),
            "all 20 images .* are equal",
            "the model will meet",
        ),
        (lambda path: DRAWN[:, :12], "takes uint8", "save the images"),
        (lambda path: None, "cpu-int8 needs `calibration.data`", "100 or more images"),
    ],
)
def test_unusable_images_are_refused(
    data: Any, message: str, hint: str, model: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        export(
            model,
            "cpu-int8",
            output=tmp_path / "bundle",
            recipe=TF,
            calibration=Calibration(data=data(tmp_path)),
        )
    assert hint in (caught.value.hint or "")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("target", "words", "message"),
    [
        ("cpu-fp32", {"data": DRAWN}, "`calibration.data` is for int8"),
        ("cpu-fp32", {"max_drop": 0.5}, "`calibration.max_drop` is for int8"),
        ("cpu-int8", {"data": DRAWN, "method": "mean"}, "no calibration method 'mean'"),
        (
            "cpu-int8",
            {"data": DRAWN, "max_drop": 2.0},
            "`calibration.max_drop` must be between 0 and 1, not 2",
        ),
        ("jetson-nano-int8", {"data": DRAWN}, "cannot run int8"),
        ("jetson-tx2-int8", {"data": DRAWN}, "cannot run int8"),
        ("cpu-int8", {"data": DRAWN, "eval_data": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_options_that_do_not_fit_the_target_are_refused(
    target: str, words: dict[str, Any], message: str, model: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(KexportError, match=message):
        export(
            model,
            target,
            output=tmp_path / "bundle",
            recipe=TF,
            calibration=Calibration(**words),
        )
    assert list(tmp_path.iterdir()) == []


def test_images_for_a_model_of_numbers_are_refused(tmp_path: Path) -> None:
    x = keras.Input((8,))
    dense = keras.Model(x, keras.layers.Dense(3)(x))
    with pytest.raises(BadArgument, match=r"the model takes float32 \[N, 8\]"):
        export(dense, "cpu-int8", output=tmp_path / "x", calibration=Calibration(data=DRAWN))


def test_the_command_line_offers_all_methods() -> None:
    assert CALIBRATION_METHODS == METHODS


@pytest.mark.parametrize(
    "extra", [{"image_input": ImageInput("bgr", "nchw")}, {"top_k": 3, "batch": 3}]
)
def test_other_pixels_batches_and_rankings_are_quantized(
    export_and_verify: Export, extra: dict[str, Any], model: keras.Model, tmp_path: Path
) -> None:
    made = export_and_verify(
        model, "arm64-int8", output=tmp_path / "x", recipe=TF, calibration=LOOSE, **extra
    )
    assert kexport.verify(made.path).passed
    assert made.manifest["quantization"]["multiply_adds_int8"] == 1.0


def test_top_1_accuracy_on_labelled_images_decides(
    root: Path, verify_in_cpp: Verify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export the trained digits from the command line, with five images of each digit."""
    digits = root / "examples" / "digits"
    train, held_out = digits_module(root).split()
    names = (digits / "labels.txt").read_text().split()
    for part, some in (("train", train), ("held", held_out)):
        for digit, name in enumerate(names):
            rows = np.flatnonzero(some.classes == digit)[:5]
            (tmp_path / part).mkdir(exist_ok=True)
            folder_of(tmp_path / part / name, some.images[rows])
    words = [str(digits / "digits.keras"), "--target", "cpu-int8", "--preprocess", "tf", "--quiet"]
    words += ["--labels", str(digits / "labels.txt"), "--output", str(tmp_path / "bundle")]
    words += ["--calibration-data", str(tmp_path / "train"), "--eval-data", str(tmp_path / "held")]
    assert main(words) == 0
    verify_in_cpp(tmp_path / "bundle")
    out = capsys.readouterr().out
    assert "top-1 accuracy may drop by 1.0%" in out
    assert "100.0% of the multiply-adds" in out
    assert "Keras itself" in out
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    entry = manifest["quantization"]
    last = [step for step in entry["steps"] if step["kept"]][-1]
    assert entry["gate"]["measure"] == "labels"
    assert entry["keras"]["top1"] - last["top1"] <= 0.01
    assert main(["verify", str(tmp_path / "bundle")]) == 0


def test_the_first_of_many_float_nodes_are_named() -> None:
    nodes = [{"node": f"sum_{index}", "reason": "the gate"} for index in range(6)]
    entry = {
        "method": "mse",
        "images": 16,
        "judged_on": 16,
        "skipped": [],
        "gate": {
            "measure": "agreement",
            "max_drop": 0.01,
            "outcome": "undecided",
            "drop": 0.06,
            "interval": [0.0096, 0.182],
            "confidence": 0.95,
            "images_to_decide": 52,
        },
        "multiply_adds_int8": 0.9,
        "float_nodes": [*nodes, {"node": "top", "reason": "no kernel"}],
    }
    console = Console(width=200, file=StringIO(), color_system=None)
    console.print(quantization_table(entry, None))
    said = console.file.getvalue()
    assert "sum_0, sum_1, sum_2, sum_3 and 2 more: the gate" in said
    assert "top: no kernel" in said
    assert "6.0%, 95% interval 1.0% to 18.2%: undecided, since 1.0% is between its ends" in said
    assert "about 52 images would decide at this rate" in said

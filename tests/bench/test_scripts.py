"""The benchmarks' own arithmetic and pages; nothing here is timed."""

import dataclasses
import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kexport import zoo


def result(model: str, target: str, **other: object) -> dict[str, object]:
    return {
        "model": model,
        "target": target,
        "ok": True,
        "message": "",
        "peak": 1.25e9,
        "seconds": 9.0,
        "convert_seconds": 0.5,
        "nodes": 104,
        "transposes": 1,
        "float32_nodes": 2,
        "bytes": 14_000_000,
        "error": 1.2e-5,
        "tolerance": 1e-4,
        "traced": [],
        **other,
    }


def test_table_puts_numbers_to_the_right(bench: dict[str, ModuleType]) -> None:
    text = bench["page"].table(["a", "b"], [["x", "1"]])
    assert text == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_a_missing_measurement_is_a_dash(bench: dict[str, ModuleType]) -> None:
    page = bench["page"]
    assert page.number(None, 1) == "-"
    assert page.number(1.26, 1) == "1.3"
    assert page.error(2.14e-6) == "2.1e-06"


def test_section_replaces_itself_only(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    page, path = bench["page"], tmp_path / "docs" / "bench.md"
    page.put_section(path, "a", "first", "Benchmarks")
    page.put_section(path, "b", "other", "Benchmarks")
    page.put_section(path, "a", r"second \1", "Benchmarks")
    assert path.read_text(encoding="utf-8") == (
        "# Benchmarks\n\n<!-- a -->\nsecond \\1\n<!-- end of a -->\n\n"
        "<!-- b -->\nother\n<!-- end of b -->\n"
    )


def test_ratio_is_the_median_of_the_rounds(bench: dict[str, ModuleType]) -> None:
    times = bench["rounds"].Times
    theirs, ours = times((2.0, 4.0, 9.0)), times((1.0, 4.0, 3.0))
    assert theirs.over(ours) == 2.0
    assert (theirs.least, theirs.median) == (2.0, 4.0)


def test_contestants_take_turns(bench: dict[str, ModuleType]) -> None:
    turns: list[str] = []
    runs = {name: lambda name=name: turns.append(name) for name in "ab"}
    times = bench["rounds"].interleave(runs, rounds=3, seconds=0)
    assert turns == [*"ab", *"aabb", *"bbaa", *"aabb"]
    assert [len(found.rounds) for found in times.values()] == [3, 3]


def test_conversion_goals(bench: dict[str, ModuleType]) -> None:
    verdict = bench["convert"].verdict
    assert verdict("InceptionV3", 21, 2.9) == "met: 20 x faster; missed: 1/3 of the memory"
    assert verdict("ResNet50", 4.9, 1) == "missed: 5 x faster"


def test_latency_goals(bench: dict[str, ModuleType]) -> None:
    latency, times = bench["latency"], bench["rounds"].Times
    ours = times((1.0, 1.0))
    assert (
        latency.verdict("mobilenet", {"kexport": ours, "keras": times((0.98, 0.96))}) == "met: 0.97"
    )
    assert (
        latency.verdict("mobilenet", {"kexport": ours, "keras": times((0.95,) * 2)})
        == "missed: 0.97"
    )
    small = {"kexport": ours, "keras": times((1.7, 1.7))}
    assert latency.verdict("mobilenet_v3_small", small) == "missed: 1.80"
    assert latency.verdict("convnext_tiny", {"kexport": ours}) == ""


def test_goals_of_pixels(bench: dict[str, ModuleType]) -> None:
    times, pixels = bench["rounds"].Times, bench["pixels"]
    slower = {"kexport": [2e-3, 2e-3], "OpenCV": [1e-3, 1e-3]}
    found = {"variant": ["rgb", "nhwc", "uint8", "bilinear"], "times": slower}
    assert pixels.row(found, (1080, 1920), 224) == [
        *("rgb nhwc uint8", "1080 x 1920", "bilinear", "2.00 (2.00)", "1.00 (1.00)", "0.50"),
        *("-", "-", "missed"),
    ]
    even = {name: times((1e-3,)) for name in slower}
    assert pixels.verdict(None, even) == "met"
    assert pixels.verdict("bicubic", even) == "reported"


def test_goals_of_cpp(bench: dict[str, ModuleType]) -> None:
    times, cpp = bench["rounds"].Times, bench["cpp"]
    found = cpp.Overhead((101.0, 204.0, 99.0), (100.0, 200.0, 100.0))
    assert cpp.overhead_row("digits", found) == [
        *("digits", "101.0", "100.0", "1.0100", "0.9900 to 1.0200", "met: at most 1.01")
    ]
    seconds = {"classify": 0.02, "run.py": 0.1, "verify": 0.3, "run.py --verify": 0.2}
    assert cpp.start_rows("digits", {name: times((each,)) for name, each in seconds.items()}) == [
        ["digits", "kexport-classify", "run.py", "20", "100", "0.20", "met: at most 1"],
        ["digits", "kexport-verify", "run.py --verify", "300", "200", "1.50", "missed: at most 1"],
    ]
    assert cpp.size_row("kexport-verify", 300_000)[1:] == ["300.0", "missed: under 300 kB"]


def test_goals_of_calibration(bench: dict[str, ModuleType]) -> None:
    ours = [{"seconds": 12.0, "memory": 3e8}, {"seconds": 30.0, "memory": 4e8}]
    theirs = [{"seconds": 16.0, "memory": 7.5e8}, {"seconds": 20.0, "memory": 6.25e8}]
    assert bench["calibrate"].rows({"kexport": ours, "quantize_static": theirs}) == [
        ["kexport", "21.0", "350"],
        ["quantize_static", "18.0", "688"],
        ["kexport's share", "1.12 (missed: 1.0)", "0.52 (missed: 0.5)"],
    ]


def test_models_of_the_latency_benchmark_exist(bench: dict[str, ModuleType]) -> None:
    assert set(bench["latency"].MODELS) <= set(zoo.ZOO)
    assert set(bench["zoo"].HEAVY) <= set(zoo.ZOO)


def test_every_pass_but_the_needed_is_left_out_once(bench: dict[str, ModuleType]) -> None:
    passes = bench["passes"]
    found = passes.variants(bench["pass_cases"].CASES["densenet121"])
    whole = [step.__name__ for step in found[""]]
    assert list(found)[1:] == passes.names()
    for left_out, steps in found.items():
        kept = [step.__name__ for step in steps]
        assert kept == [name for name in whole if name != left_out]


def test_converting_leaves_out_the_observation(bench: dict[str, ModuleType]) -> None:
    script = bench["zoo"]
    marks = [
        ("building the model", 0.0),
        ("converting", 5.0),
        ("tidy", 6.0),
        ("observing the values of every tensor", 6.5),
        ("convert_float16", 26.5),
        ("running Keras for comparison", 27.0),
        ("end", 40.0),
    ]
    assert script.convert_seconds(marks) == pytest.approx(2.0)


def test_zoo_page_says_what_failed(bench: dict[str, ModuleType]) -> None:
    names, targets = ["mobilenet_v2", "convnext_tiny"], ["cpu-fp32"]
    results = {
        ("mobilenet_v2", "cpu-fp32"): result("mobilenet_v2", "cpu-fp32"),
        ("convnext_tiny", "cpu-fp32"): {"ok": False, "message": "killed by SIGKILL"},
    }
    text = bench["zoo_page"].page(results, names, targets)
    assert "1 of 2 Applications are exported to cpu-fp32" in text
    assert "| mobilenet_v2 | 224 | 104 | 1 | 2 | 14.0 | 0.5 | 1.2 | 1.2e-05 | ok |" in text
    assert "- convnext_tiny: killed by SIGKILL" in text


def test_zoo_page_counts_transposes(bench: dict[str, ModuleType]) -> None:
    page = bench["zoo_page"]
    assert page.expected("convnext_tiny") == 2 * 18 + page.ELSEWHERE
    results = {("vgg16", "cpu-fp32"): result("vgg16", "cpu-fp32", transposes=3)}
    assert "Other counts: vgg16 for cpu-fp32 (3)" in page.transposes(
        results, ["vgg16"], ["cpu-fp32"]
    )


def test_results_are_resumed_from_the_last_line(
    bench: dict[str, ModuleType], tmp_path: Path
) -> None:
    path = tmp_path / "zoo.jsonl"
    path.write_text(
        '{"model": "a", "target": "t", "ok": false}\n\n{"model": "a", "target": "t", "ok": true}\n'
    )
    assert bench["results"].open_results(path, resume=True).found["a", "t"]["ok"] is True
    assert bench["results"].open_results(tmp_path / "none", resume=True).found == {}


def test_int8_is_held_to_its_goal_with_avx2(bench: dict[str, ModuleType]) -> None:
    row = bench["int8_speed"].row
    vnni = {"fp32": [0.3, 0.3], "kexport": [0.1, 0.1], "quantize_static": [0.2, 0.2]}
    avx2 = {"fp32": [0.3, 0.3], "kexport": [0.2, 0.2], "quantize_static": [0.3, 0.3]}
    cells = row("mobilenet_v2", vnni, avx2)
    assert cells[1:5] == ["300.0", "100.0", "3.00", "1.50"]
    assert cells[5:] == ["300.0", "200.0", "1.50", "1.00", "met: 1.4"]
    assert row("resnet50", vnni, avx2)[-1] == "missed: 1.6"
    assert row("mobilenet", vnni, avx2)[-1] == ""
    assert row("resnet50", vnni, {"error": "killed"})[-1] == "killed"


@pytest.mark.parametrize(("floats", "wanted"), [(0, "missed: 1.5"), (3, "met: 4.0")])
def test_the_whole_int8_export_is_held_to_a_goal(
    floats: int, wanted: str, bench: dict[str, ModuleType]
) -> None:
    theirs = {"seconds": 10.0, "memory": 5e8}
    ours = {"seconds": 20.0, "command": 30.0, "memory": 1e9, "share": 0.9, "floats": floats}
    cells = bench["int8_whole"].row("mobilenet_v2", [(theirs, ours)] * 3)
    assert cells[1:5] == ["10.0", "20.0", "2.00", wanted]
    assert cells[5:] == ["30.0", f"90.0%, {floats} nodes in float", "0.5, 1.0"]


def test_bundles_are_compared_file_by_file(
    bench: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = bench["same_bundles"]
    for name, text in {"model.onnx": "a", "labels.txt": "b", "manifest.json": "c"}.items():
        (tmp_path / name).write_text(text)
    before = {"fp32": script.hashes(tmp_path), "gone": {"golden.npz": "0"}}
    assert before["fp32"] == {
        "model.onnx": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "labels.txt": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
    }
    (tmp_path / "labels.txt").write_text("other")
    after = {"fp32": script.hashes(tmp_path)}
    assert list(script.compared(before, after)) == [
        ("fp32", "model.onnx", "same"),
        ("fp32", "labels.txt", "DIFFERENT"),
        ("gone", "golden.npz", "DIFFERENT"),
    ]
    assert script.report(before, after) == 1
    assert script.report(after, after) == 0
    assert capsys.readouterr().out.endswith("0 of 2 files differ\n")


def test_hashed_bundles_are_one_of_each_kind(bench: dict[str, ModuleType]) -> None:
    from kexport import targets

    script = bench["same_bundles"]
    assert len(script.KINDS) == 14
    wanted = [command[command.index("--target") + 1] for command in script.COMMANDS.values()]
    assert {targets.find(name).precision for name in wanted} == {"fp32", "fp16", "int8"}
    assert targets.find("jetson-nano-fp16").opset == 13
    xavier, newest = (targets.find(name).opset for name in ("jetson-xavier-int8", "trt-int8"))
    assert xavier < 19 <= newest


def test_heavy_models_come_last(bench: dict[str, ModuleType]) -> None:
    order = bench["zoo"].lightest_first(["convnext_xlarge", "vgg16", "xception", "mobilenet"])
    assert order == ["xception", "mobilenet", "vgg16", "convnext_xlarge"]


@pytest.mark.parametrize(
    "script", ["convert", "cpp", "int8_speed", "latency", "passes", "same_bundles", "zoo"]
)
def test_arguments_have_defaults(bench: dict[str, ModuleType], script: str) -> None:
    assert bench[script].parser().parse_args([]).out is None


def test_failed_process_says_why(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise ValueError('no such road')")
    assert bench["process"].measure(str(script), []) == {"error": "ValueError: no such road"}
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "SIGKILL" in bench["process"].measure(str(script), [])["error"]
    script.write_text("print('noise')\nprint('{\"seconds\": 2}')")
    assert bench["process"].measure(str(script), []) == {"seconds": 2}


def test_without_a_gpu_nothing_is_measured_and_that_is_said(
    bench: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fake_tensorrt import FakeCuda

    from kexport.runtime import gpu

    monkeypatch.setattr(gpu, "_loaded", lambda: FakeCuda(gpus=0))
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert bench["gpu"].main() == 0
    assert capsys.readouterr().out == (
        "nothing was measured: there is no NVIDIA GPU to run on: "
        "cuInit failed with 100: no CUDA-capable device is detected\n"
    )


def test_rows_of_a_gpu(bench: dict[str, ModuleType]) -> None:
    found = {
        "times": {"tensorrt 10.3.0, Orin, trt-fp16": [2e-3, 4e-3, 2e-3], "Keras": [2e-2] * 3},
        "said": {"cuda-fp32": "no provider"},
    }
    assert list(bench["gpu"].rows("resnet50", 32, found)) == [
        ["resnet50", "32", "tensorrt 10.3.0, Orin, trt-fp16", "2.00", "16000", "10.0"],
        ["resnet50", "32", "Keras", "20.00", "1600", "1.0"],
        ["resnet50", "32", "cuda-fp32: no provider", "-", "-", "-"],
    ]
    gpu = importlib.import_module("kexport.runtime.gpu").Gpu("Orin", "8.7", 8 * 10**9, True)
    text = bench["gpu"].page(gpu, [["a", "1", "b", "2.00", "3", "-"]])
    assert "Orin, compute capability 8.7, 8 GB." in text


def test_gpus_are_hidden_unless_asked_for(
    bench: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = bench["process"].environment
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment(False)["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in environment(True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert environment(True)["CUDA_VISIBLE_DEVICES"] == "1"


def test_the_outcome_for_each_graph(bench: dict[str, ModuleType]) -> None:
    engines = bench["engines"]
    rows = [
        {"found": 93, "wanted": 94, "type": "INT8"},
        {"found": 1, "wanted": 1, "type": "FP32"},
        {"found": 2, "wanted": 2, "type": "INT8"},
    ]
    check = {"state": "built", "coverage": rows, "layers": 280}
    assert engines.cell({"check": check}) == "1 of 1 FP32, 95 of 96 INT8; 280 layers"
    assert engines.cell({"check": {"state": "refused"}}) == "refused"
    assert engines.cell(engines.failed("a", "b", "killed")) == "failed"
    assert engines.cell(None) == ""


def test_int8_is_built_for_the_chosen_applications(bench: dict[str, ModuleType]) -> None:
    engines = bench["engines"]
    assert set(engines.INT8) <= set(zoo.ZOO)
    found = engines.wanted(["vgg19", "vgg16", "mobilenet"], ["trt-fp32", "trt-int8"])
    assert found == [
        ("mobilenet", "trt-fp32"),
        ("vgg16", "trt-fp32"),
        ("vgg16", "trt-int8"),
        ("vgg19", "trt-fp32"),
    ]


def test_without_the_builder_nothing_is_built(
    bench: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["engines.py"])
    assert bench["engines"].main() == 0
    assert "nothing was built" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.rtx
def test_engines_of_a_small_application(
    bench: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(zoo.find("mobilenet"), size=64)
    monkeypatch.setattr(zoo, "find", lambda name: small)
    found = bench["engines"].build_once("mobilenet", ["trt-fp16", "trt-int8"])
    assert [row["ok"] for row in found] == [True, True], found
    (_, int8) = [{row["type"]: row["found"] for row in one["check"]["coverage"]} for one in found]
    assert int8["INT8"] == 27


def test_each_row_of_operations_is_a_public_function(bench: dict[str, ModuleType]) -> None:
    assert set(bench["ops_table"].TABLE) <= set(bench["ops"].public())


def test_operations_are_told_right_wrong_and_refused(bench: dict[str, ModuleType]) -> None:
    ops = bench["ops"]
    found = {name: ops.outcomes(name) for name in ("argmax", "cholesky")}
    assert {one.kind for one in found["argmax"]} == {"right", "traced"}
    assert {one.kind for one in found["cholesky"]} == {"refused"}
    page = ops.page(found)
    assert "| `argmax` | 11 of 11 | both |" in page
    assert "| `cholesky` | 0 of 1 |  | float32: tf2onnx has no ONNX for its" in page
    ones = [np.ones(3, np.float32)]
    assert ops._difference(ones, [np.float32([1, 1, 1.1])], []).startswith("1.0 in the place of")

"""The config file of `kexport export`. The API is a stand-in."""

from pathlib import Path

import pytest
from fake_export import Fake, succeed

from kexport.cli import main
from kexport.options.calibration import Calibration
from kexport.options.image_input import ImageInput
from kexport.options.sampling import Sampling
from kexport.options.task import Task
from kexport.source.open import Recipe

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["[export]", *lines, ""]), encoding="utf-8")


ALL = """
model = "m.keras"
target = "rtx-fp16"
output = "out"
weights = "weights.h5"
no-top = true
pooling = "max"
classes = 5
input-shape = [96, 64]
activation = "none"
alpha = 1
minimalistic = true
depth-multiplier = 2
no-preprocessing-layers = true
output-layer = ["a", "b"]
input-format = "bgra"
layout = "nchw"
input-dtype = "float32"
resize = "bilinear"
crop = "center"
top-k = 3
layout-triton = "models"
compute-capabilities = ["8.6", "8.9"]
calibration-data = "photos"
calibration-method = "entropy"
calibration-cache = "ranges.json"
max-drop = 0.02
int8-share = 0.7
eval-data = "labelled"
samples = "own.npz"
input-range = ["x=0,255", "y=-1,1"]
require-speedup = 1.5
preprocess = "caffe"
batch = "dynamic"
labels = "labels.txt"
opset = 16
task = "segment"
palette = ["#000000", "#ff8000"]
output-range = [0, 2]
box-format = "xywh"
box-units = "pixels"
iou = 0.25
threshold = 0.3
from-logits = "yes"
seed = 3
tensorrt = "1.7"
force = true
timestamps = true
quiet = true
"""


def test_every_option_can_be_in_the_file(fake_export: Fake, folder: Path, capsys: Capture) -> None:
    calls = fake_export(succeed)
    (folder / "labels.txt").write_text("cat\n", encoding="utf-8")
    write(folder / "kexport.toml", ALL)
    assert main(["export"]) == 0
    assert capsys.readouterr().err == ""
    (call,) = calls
    del call["progress"]
    assert call == {
        "model": "m.keras",
        "target": "rtx-fp16",
        "resolved": ("TensorRT-RTX 1.7", 16, ("8.6", "8.9")),
        "output": "out",
        "recipe": Recipe(
            weights="weights.h5",
            include_top=False,
            pooling="max",
            classes=5,
            input_shape=(96, 64, 3),
            activation=None,
            alpha=1.0,
            minimalistic=True,
            depth_multiplier=2,
            include_preprocessing=False,
            preprocess="caffe",
            seed=3,
        ),
        "batch": "dynamic",
        "labels": "labels.txt",
        "output_layers": ("a", "b"),
        "image_input": ImageInput("bgra", "nchw", "float32", "bilinear", "center"),
        "task": Task(
            "segment", 0.3, True, ("#000000", "#ff8000"), (0.0, 2.0), "xywh", "pixels", 0.25
        ),
        "top_k": 3,
        "sampling": Sampling("own.npz", {"x": (0.0, 255.0), "y": (-1.0, 1.0)}),
        "calibration": Calibration("photos", "entropy", "ranges.json", 0.02, "labelled", 1.5, 0.7),
        "layout_triton": "models",
        "force": True,
        "timestamps": True,
    }


def test_the_command_line_takes_precedence(fake_export: Fake, folder: Path) -> None:
    calls = fake_export(succeed)
    lines = ('model = "vgg16"', 'target = "trt-fp16"', "seed = 3", 'output-layer = ["a", "b"]')
    write(folder / "kexport.toml", *lines)
    assert main(["vgg19", "-t", "cpu-fp32", "--output-layer", "c", "-q"]) == 0
    (call,) = calls
    assert (call["model"], call["target"]) == ("vgg19", "cpu-fp32")
    assert call["output_layers"] == ("c",)
    assert call["recipe"].seed == 3


def test_the_progress_names_the_file(fake_export: Fake, folder: Path, capsys: Capture) -> None:
    fake_export(succeed)
    write(folder / "kexport.toml", 'target = "cpu-fp32"')
    assert main(["vgg16"]) == 0
    assert "taking options from kexport.toml\n" in capsys.readouterr().err


def test_paths_are_relative_to_the_file(fake_export: Fake, folder: Path, capsys: Capture) -> None:
    calls = fake_export(succeed)
    write(
        folder / "project" / "own.toml",
        'model = "digits.keras"',
        'target = "cpu-int8"',
        'output = "/elsewhere"',
        'weights = "random"',
        'labels = "imagenet"',
        'calibration-data = "photos"',
    )
    assert main(["--config", "project/own.toml"]) == 0
    (call,) = calls
    assert call["model"] == "project/digits.keras"
    assert call["output"] == "/elsewhere"
    assert call["recipe"].weights == "random"
    assert call["labels"] == "imagenet"
    assert call["calibration"].data == "project/photos"
    assert "taking options from project/own.toml\n" in capsys.readouterr().err


def test_the_name_of_an_application_is_no_path(fake_export: Fake, folder: Path) -> None:
    calls = fake_export(succeed)
    write(folder / "project" / "own.toml", 'model = "vgg16"', 'target = "cpu-fp32"')
    assert main(["--config", "project/own.toml", "-q"]) == 0
    assert calls[0]["model"] == "vgg16"


def test_another_file_takes_the_place_of_the_one_in_the_folder(
    fake_export: Fake, folder: Path
) -> None:
    calls = fake_export(succeed)
    write(folder / "kexport.toml", "seed = 3", "opset = 16")
    write(folder / "own.toml", "seed = 4")
    assert main(["vgg16", "-t", "cpu-fp32", "-q", "--config", "own.toml"]) == 0
    assert (calls[0]["recipe"].seed, calls[0]["resolved"][1]) == (4, 18)


def test_the_file_can_be_ignored(fake_export: Fake, folder: Path, capsys: Capture) -> None:
    calls = fake_export(succeed)
    (folder / "kexport.toml").write_text("no TOML", encoding="utf-8")
    assert main(["vgg16", "-t", "cpu-fp32", "--no-config"]) == 0
    assert calls[0]["recipe"] == Recipe()
    assert "kexport.toml" not in capsys.readouterr().err


def test_a_broken_file_does_not_hide_the_help(folder: Path, capsys: Capture) -> None:
    (folder / "kexport.toml").write_text("no TOML", encoding="utf-8")
    assert main(["export", "--help"]) == 0
    assert main(["models"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words", [["--no-config", "--config", "own.toml"], ["--config", "own.toml", "--no-config"]]
)
def test_a_file_cannot_be_named_and_ignored(
    words: list[str], folder: Path, capsys: Capture
) -> None:
    write(folder / "own.toml", "seed = 3")
    assert main(["vgg16", "-t", "cpu-fp32", *words]) == 2
    assert "--config and --no-config exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("clases = 5", "kexport.toml has an unknown key 'clases'", "did you mean 'classes'?"),
        ("input_shape = 5", "has an unknown key 'input_shape'", "did you mean 'input-shape'?"),
        ("xyz = 5", "has an unknown key 'xyz'", "see the options with: kexport export --help"),
        ("help = true", "kexport.toml: help cannot be set in a file", "give --help on the"),
        ("trust = true", "kexport.toml: trust cannot be set in a file", "give --trust on the"),
        ("json = true", "kexport.toml: json cannot be set in a file", "give --json on the"),
        ('classes = "5"', "kexport.toml: classes must be a number, not '5'", "see what --classes"),
        ("classes = true", "kexport.toml: classes must be a number, not true", ""),
        ("classes = 5.5", "kexport.toml: classes must be a number, not 5.5", ""),
        ("classes = [5]", "kexport.toml: classes must be a number, not [5]", ""),
        ("tensorrt = 10.3", "tensorrt must be text in quotes, not 10.3", ""),
        ('no-top = "yes"', "no-top must be true or false, not 'yes'", ""),
        ("no-top = 1", "no-top must be true or false, not 1", ""),
        ("output-layer = [1]", "output-layer must be text in quotes, not 1", ""),
        ("batch = 1.5", "batch must be a number or text in quotes, not 1.5", ""),
        ("model = 1", "model must be text in quotes, not 1", ""),
        ("classes = 0", "classes has an invalid value: 0 is not in the range x>=1", "--classes"),
        ("batch = 0", "batch has an invalid value: '0' is neither a number from 1", ""),
        ("input-shape = [8]", "input-shape has an invalid value: '8' is not of the form H,W", ""),
        ("max-drop = 2", "max-drop has an invalid value: '2' is not a share", ""),
        ('pooling = "min"', "pooling has an invalid value: 'min' is not one of 'avg', 'max'", ""),
        ('labels = "no.txt"', "labels has an invalid value: path 'no.txt' does not exist", ""),
        ("seed = 1\nseed = 2", "kexport.toml is not valid TOML: cannot overwrite a value", ""),
        ("[exprot]\nseed = 1", "kexport.toml has an unknown key 'exprot'", "mean 'export'?"),
    ],
)
def test_mistakes_in_the_file_are_refused(
    line: str, message: str, hint: str, fake_export: Fake, folder: Path, capsys: Capture
) -> None:
    calls = fake_export(succeed)
    write(folder / "kexport.toml", line)
    assert main(["vgg16", "-t", "cpu-fp32"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert second.startswith("hint: ")
    assert hint in second
    assert calls == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"export = 1", "kexport.toml: export must be a table, not 1"),
        (b"\xff", "kexport.toml is not UTF-8 text"),
        (b"[export", "kexport.toml is not valid TOML: "),
    ],
)
def test_a_file_without_a_table_of_options_is_refused(
    content: bytes, message: str, folder: Path, capsys: Capture
) -> None:
    (folder / "kexport.toml").write_bytes(content)
    assert main(["vgg16", "-t", "cpu-fp32"]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_refused(folder: Path, capsys: Capture) -> None:
    assert main(["vgg16", "-t", "cpu-fp32", "--config", "nowhere.toml"]) == 2
    assert "nowhere.toml cannot be read: no such file" in capsys.readouterr().err
    (folder / "kexport.toml").mkdir()
    assert main(["vgg16", "-t", "cpu-fp32"]) == 2
    assert "kexport.toml cannot be read: " in capsys.readouterr().err


def test_names_in_the_file_cannot_steer_the_terminal(folder: Path, capsys: Capture) -> None:
    write(folder / "kexport.toml", '"a\\u001b[2J" = 1')
    assert main(["vgg16", "-t", "cpu-fp32"]) == 2
    assert r"unknown key 'a\x1b[2J'" in capsys.readouterr().err

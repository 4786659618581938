"""`kexport export`: options reach the API as its arguments. The API is a stand-in."""

from pathlib import Path

import pytest
from fake_export import Fake, succeed

from kexport.cli import main
from kexport.options.calibration import Calibration
from kexport.options.image_input import ImageInput
from kexport.options.sampling import Sampling
from kexport.options.task import Task
from kexport.source.open import Recipe


def test_defaults_reach_the_api(fake_export: Fake) -> None:
    calls = fake_export(succeed)
    assert main(["vgg16", "--target", "cpu-fp32", "--quiet"]) == 0
    (call,) = calls
    assert callable(call.pop("progress"))
    assert call == {
        "model": "vgg16",
        "target": "cpu-fp32",
        "resolved": ("None", 18, ()),
        "output": None,
        "recipe": Recipe(),
        "batch": 1,
        "labels": None,
        "output_layers": (),
        "image_input": ImageInput(),
        "task": Task(),
        "top_k": None,
        "calibration": Calibration(),
        "sampling": Sampling(),
        "layout_triton": None,
        "force": False,
        "timestamps": False,
    }


def test_every_option_reaches_the_api(fake_export: Fake, tmp_path: Path) -> None:
    calls = fake_export(succeed)
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n", encoding="utf-8")
    words = (
        "export m.keras -t RTX_FP16 -o out --weights random --no-top --pooling max --classes 5"
        " --input-shape 96,64 --activation none --alpha 0.5 --minimalistic"
        " --depth-multiplier 2 --no-preprocessing-layers --output-layer a --output-layer b "
        "--input-format bgra --layout nchw --input-dtype float32 --resize bilinear"
        " --crop center --task segment --threshold 0.3 --from-logits yes "
        "--box-format xywh --box-units pixels --iou 0.25 "
        "--output-range 0,2 --palette #000000,#ff8000 --top-k 3 --layout-triton models "
        "--compute-capabilities 8.6,8.9 "
        "--calibration-data photos --calibration-method entropy --calibration-cache ranges.json "
        "--max-drop 0.02 --int8-share 0.7 --eval-data labelled --require-speedup 1.5 "
        "--ship-images 8 "
        f"--preprocess caffe --batch dynamic --labels {labels} --opset 16 --seed 3 --tensorrt 1.7"
        " --samples own.npz --input-range x=0,255 --input-range y=-1,1"
        " --force --trust --timestamps -q"
    )
    assert main(words.split()) == 0
    (call,) = calls
    del call["progress"]
    assert call == {
        "model": "m.keras",
        "target": "rtx-fp16",
        "resolved": ("TensorRT-RTX 1.7", 16, ("8.6", "8.9")),
        "output": "out",
        "recipe": Recipe(
            weights="random",
            include_top=False,
            pooling="max",
            classes=5,
            input_shape=(96, 64, 3),
            activation=None,
            alpha=0.5,
            minimalistic=True,
            depth_multiplier=2,
            include_preprocessing=False,
            preprocess="caffe",
            seed=3,
            trust=True,
        ),
        "batch": "dynamic",
        "labels": str(labels),
        "output_layers": ("a", "b"),
        "image_input": ImageInput("bgra", "nchw", "float32", "bilinear", "center"),
        "task": Task(
            "segment", 0.3, True, ("#000000", "#ff8000"), (0.0, 2.0), "xywh", "pixels", 0.25
        ),
        "top_k": 3,
        "sampling": Sampling("own.npz", {"x": (0.0, 255.0), "y": (-1.0, 1.0)}),
        "calibration": Calibration(
            "photos", "entropy", "ranges.json", 0.02, "labelled", 1.5, 0.7, 8
        ),
        "layout_triton": "models",
        "force": True,
        "timestamps": True,
    }


def test_channels_can_be_given(fake_export: Fake) -> None:
    calls = fake_export(succeed)
    assert (
        main(["m.keras", "-t", "cpu-fp32", "-q", "--input-shape", "28,28,1", "--batch", "16"]) == 0
    )
    assert calls[0]["recipe"].input_shape == (28, 28, 1)
    assert calls[0]["batch"] == 16


def test_options_may_come_before_the_model(fake_export: Fake) -> None:
    calls = fake_export(succeed)
    assert main(["--target", "cpu-fp32", "vgg16", "-q"]) == 0
    assert calls[0]["model"] == "vgg16"


def test_preprocessing_in_numbers_reaches_the_api(fake_export: Fake, tmp_path: Path) -> None:
    calls = fake_export(succeed)
    words = ["m.keras", "-t", "cpu-fp32", "-q", "--bgr", "--mean", "103.9, 116.8,123.7"]
    assert main([*words, "--scale", "1/127.5", "--std", "2"]) == 0
    config = tmp_path / "kexport.toml"
    config.write_text(
        '[export]\nmodel = "m.keras"\ntarget = "cpu-fp32"\nbgr = true\nscale = "1/127.5"\n'
        "mean = [103.9, 116.8, 123.7]\nstd = 2\nquiet = true\n",
        encoding="utf-8",
    )
    assert main(["export", "--config", str(config)]) == 0
    wanted = Recipe(scale=(1 / 127.5,), mean=(103.9, 116.8, 123.7), std=(2.0,), bgr=True)
    assert [call["recipe"] for call in calls] == [wanted, wanted]


@pytest.mark.parametrize("word", ["half", "1/0", "1;2"])
def test_what_is_no_number_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["m.keras", "-t", "cpu-fp32", "--scale", word]) == 2
    assert "neither a number nor numbers with commas" in capsys.readouterr().err

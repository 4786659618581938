"""What is known to be wrong is said before Keras is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from kexport.cli import main
status = main(sys.argv[1:])
heavy = [name for name in ("keras", "tensorflow", "onnx", "onnx_ir") if name in sys.modules]
print(status, *heavy)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with what commands name: a file, a bundle's folder, and folders of images."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "m.keras").write_bytes(b"some bytes")
    for name in ("taken", "m-cpu-fp32", "mobilenet-cpu-fp32", "photos", "flat"):
        (folder / name).mkdir()
        (folder / name / "file.txt").touch()
    (folder / "labels.csv").write_text("a,b,c\n1,2,3\n", encoding="utf-8")
    (folder / "kexport.toml").write_text("[export]\nmax-drop = 1.5\n", encoding="utf-8")
    return folder


WRONG = {
    "nowhere.keras -t cpu-fp32": (5, "there is no file nowhere.keras"),
    "photos/ -t cpu-fp32": (5, "photos is a folder"),
    "mobilenet_v9 -t cpu-fp32": (3, "no Keras Application named 'mobilenet_v9'"),
    "mobilenet -t cpu-fp32 -o b --weights no.h5": (8, "there is no weights file no.h5"),
    "mobilenet -t cpu-fp32 -o b --alpha 0.3": (2, "no ImageNet weights for mobilenet"),
    "mobilenet -t cpu-fp32 -o b --preprocess tf": (2, "has a preprocessing of its own"),
    "mobilenet -t cpu-fp32": (9, "mobilenet-cpu-fp32 exists already"),
    "m.keras -t cpu-fp32": (9, "m-cpu-fp32 exists already"),
    "m.keras -t cpu-fp32 -o taken": (9, "taken exists already"),
    "m.keras -t cpu-fp32 -o b --classes 5": (2, "--classes is an argument of Keras Applications"),
    "m.keras -t cpu-int8 -o b": (2, "needs --calibration-data"),
    "m.keras -t cpu-int8 -o b --calibration-data x": (2, "the calibration data x does not exist"),
    "m.keras -t cpu-fp32 -o b --eval-data x": (2, "x does not exist"),
    "m.keras -t cpu-fp32 -o b --eval-data flat": (2, "the folder flat has no subfolders"),
    "m.keras -t cpu-fp32 -o b --task regress --eval-data flat": (2, "needs one CSV file"),
    "m.keras -t cpu-fp32 -o b --task segment --eval-data flat": (2, "flat has no folder images"),
    "m.keras -t cpu-fp32 -o b --task detect --eval-data flat": (2, "no file flat/annotations.json"),
    "m.keras -t cpu-fp32 -o b --task raw --eval-data flat": (2, "the task raw has no measure"),
    "m.keras -t cpu-fp32 -o b --labels labels.csv": (2, "which of its 3 columns has the labels"),
    "m.keras -t cpu-fp32 -o b --preprocess auto": (2, "--preprocess auto needs labelled images"),
    "m.keras -t cpu-fp32 -o b --scale 0": (2, "--scale must not be 0"),
    "m.keras -t cpu-int8 -o b --int8-share 2": (
        2,
        "'--int8-share': '2' is not a share, a number from 0 to 1",
    ),
    "m.keras -t cpu-int8 -o b --calibration-data photos --ship-images 8 --samples photos": (
        2,
        "--samples and --ship-images both say what is in golden.npz",
    ),
    "m.keras -t cpu-int8 -o b --max-drop -1": (2, "'--max-drop': '-1' is not a share"),
    "m.keras -t cpu-int8 -o b --require-speedup 0": (
        2,
        "'--require-speedup': '0' is not a number greater",
    ),
    "m.keras -t cpu-int8 -o b --config kexport.toml": (
        2,
        "max-drop has an invalid value: '1.5' is not a share",
    ),
}


@pytest.mark.parametrize("words", WRONG)
def test_it_is_said_without_keras(words: str, folder: Path) -> None:
    status, message = WRONG[words]
    given = words.split() if "--config" in words else [*words.split(), "--no-config"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert message in done.stderr
    assert done.stdout.split() == [str(status)]


def test_it_is_json_too(folder: Path) -> None:
    command = [sys.executable, "-m", "kexport", "nowhere.keras", "-t", "cpu-fp32", "--json"]
    done = subprocess.run(
        [*command, "--no-config"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["error"] == "there is no file nowhere.keras"

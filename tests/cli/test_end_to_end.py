"""The command line on a real model: export, verify, run, and failures."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cpp_verifiers import Verify
from PIL import Image

from kexport import runtime
from kexport.cli import main
from kexport.source.synthetic_images import draw_images

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def words(root: Path) -> list[str]:
    """Export the trained digits for the CPU, without an output folder."""
    digits = root / "examples" / "digits"
    model, labels = str(digits / "digits.keras"), str(digits / "labels.txt")
    return [model, "--target", "cpu-fp32", "--preprocess", "tf", "--labels", labels, "--quiet"]


@pytest.fixture(scope="module")
def bundle(
    words: list[str], verify_in_cpp: Verify, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "digits"
    assert main([*words, "--output", str(folder)]) == 0
    verify_in_cpp(folder)
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "image.png"
    Image.fromarray(draw_images(1, 60, 80)[0]).save(file)
    return file


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_verify_passes(bundle: Path, capsys: Capture) -> None:
    assert main(["verify", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split() == ["result", "passed"]
    assert re.search(r"speed +\d+\.\d+ ms for 1 sample, on one thread of this machine", out)
    assert main(["verify", str(bundle), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["path"]) == (True, str(bundle))


def test_run_prints_the_predictions_of_the_runtime(
    bundle: Path, image: Path, capsys: Capture
) -> None:
    assert main(["run", str(bundle), str(image), "-k", "3", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["pictures"]
    expected = runtime.load(bundle).classify(image, top_k=3)
    assert [row["index"] for row in answer["predictions"]] == [row.index for row in expected]
    assert [row["label"] for row in answer["predictions"]] == [row.label for row in expected]
    assert main(["run", str(bundle), str(image), "-k", "3"]) == 0
    _, _, first, *rest = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == [str(image), str(expected[0].index)]
    assert len(rest) == 2


def test_a_bad_image_does_not_stop_the_others(bundle: Path, image: Path, capsys: Capture) -> None:
    words = ["run", str(bundle), "nowhere.png", str(image), "--json"]
    assert main(words) == 15
    out, err = capsys.readouterr()
    missing, found = json.loads(out)["pictures"]
    assert missing["picture"] == "nowhere.png"
    assert missing["error"] in err
    assert len(found["predictions"]) == 5


@pytest.mark.slow
def test_json_is_the_manifest(words: list[str], tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "again"
    assert main([*words, "--output", str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert printed == {**written, "path": str(folder)}


def test_the_same_command_gives_the_same_bytes(
    words: list[str], bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    assert main([*words, "--output", str(folder)]) == 0
    assert contents(folder) == contents(bundle)


def test_a_bundle_is_replaced_only_by_force(
    words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "precious.txt").write_text("mine", encoding="utf-8")
    assert main([*words, "--output", str(folder)]) == 9
    assert "--force" in capsys.readouterr().err
    assert contents(folder) == {"precious.txt": b"mine"}
    assert list(tmp_path.iterdir()) == [folder]


def test_an_altered_bundle_is_refused(bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(bundle, altered)
    weights = bytearray((altered / "model.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (altered / "model.onnx").write_bytes(weights)
    assert main(["verify", str(altered)]) == 14
    assert "model.onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("inceptoin_v3", 3, "did you mean 'inception_v3'?"),
        ("nowhere.keras", 5, "nowhere.keras"),
        ("text.keras", 5, "text.keras"),
    ],
)
def test_models_that_cannot_be_opened_are_refused(
    model: str,
    status: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.keras").write_text("no model", encoding="utf-8")
    assert main([model, "-t", "cpu-fp32", "-q"]) == status
    assert told in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["text.keras"]


def accept_interrupts() -> None:
    """Handle Ctrl-C as in a terminal; a background job would ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_an_interrupt_leaves_nothing_behind(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kexport", *words[:-1], "--output", str(tmp_path / "digits")]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=accept_interrupts
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "convert" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "error: stopped; nothing was written"
    assert list(tmp_path.iterdir()) == []

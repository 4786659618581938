"""`python run.py` in a bundle that was copied elsewhere, without kexport installed."""

import importlib.util
import json
import marshal
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kexport.runtime
from kexport.runtime.cli import main

PROGRAMS = ("run", "build_engine")
BLOCKED = ("click", "h5py", "keras", "kexport", "onnx", "onnx_ir", "rich", "tensorflow", "tf2onnx")


def python(
    *arguments: object, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def colour(path: Path, red: int, green: int, blue: int) -> Path:
    Image.new("RGB", (40, 30), (red, green, blue)).save(path)
    return path


def scores(truth, *rgb: int) -> list[str]:
    image = np.full((1, 8, 6, 3), rgb, np.uint8)
    return [f"{score:.4f}" for score in truth(image)["probabilities"][0]]


@pytest.fixture
def travelled(build, tmp_path: Path) -> Path:
    """Return a copy of a bundle with its programs in another folder."""
    return Path(shutil.copytree(build(program=True), tmp_path / "else" / "where"))


def test_an_image_as_a_table(travelled: Path, tmp_path: Path, truth):
    colour(tmp_path / "lawn.png", 20, 200, 40)
    coal, _, grass, _, _ = scores(truth, 20, 200, 40)
    done = python(travelled / "run.py", "lawn.png", "-k", 2, "--threads", 1, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"lawn.png\n  grass  {grass}\n  coal   {coal}\n"


def test_nothing_of_kexport_is_needed(travelled: Path, tmp_path: Path):
    colour(tmp_path / "sky.jpg", 10, 20, 250)
    code = (
        f"import sys, runpy\nfor name in {BLOCKED}: sys.modules[name] = None\n"
        "sys.argv = ['run.py', '--json', '--verify', sys.argv[1]]\n"
        "runpy.run_path('run.py', run_name='__main__')"
    )
    done = python("-c", code, tmp_path / "sky.jpg", folder=travelled)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["verification"]["passed"] is True
    assert report["pictures"][0]["predictions"][0]["label"] == "sea"


def test_the_bundle_is_unchanged_after_a_run(travelled: Path):
    assert python("run.py", "--verify", folder=travelled).returncode == 0
    again = python("run.py", "--verify", folder=travelled)
    assert again.returncode == 0
    assert again.stdout.startswith("mean_colour for cpu-fp32: passed\n")


SHADOWS = (
    *("onnxruntime.py", "numpy/__init__.py", "PIL/__init__.py", "json.py", "pathlib.py", "os.py"),
    *("importlib/__init__.py", "typing.py", "posix.py", "sitecustomize.py", "hashlib.py"),
)


def plant(bundle: Path, marker: Path) -> None:
    """Put in what touches `marker` once it is imported: modules, and bytecode that looks fresh."""
    code = f"open({str(marker)!r}, 'a').write(__name__)\n"
    for name in SHADOWS:
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_text(code)
    for source in (bundle / "runtime").glob("*.py"):
        cached = Path(importlib.util.cache_from_source(str(source)))
        cached.parent.mkdir(exist_ok=True)
        said = source.stat()
        head = importlib.util.MAGIC_NUMBER
        head += struct.pack("<III", 0, int(said.st_mtime), said.st_size)
        cached.write_bytes(head + marshal.dumps(compile(code, str(source), "exec")))


@pytest.mark.parametrize("program", ["run.py", "build_engine.py"])
@pytest.mark.parametrize("linked", [False, True])
def test_nothing_else_in_the_folder_is_imported(
    travelled: Path, tmp_path: Path, reseal, program: str, linked: bool
):
    """Not even where a forged manifest lists it."""
    plant(travelled, tmp_path / "marker")
    reseal(travelled)
    (tmp_path / "link.py").symlink_to(travelled / program)
    called = tmp_path / "link.py" if linked else travelled / program
    for folder, name in ((tmp_path, called), (travelled, os.path.relpath(called, travelled))):
        done = python(name, "--verify", folder=folder)
        if program == "run.py":
            assert (done.returncode, done.stderr) == (0, "")
        else:
            assert "has no engine to build" in done.stderr
    assert not (tmp_path / "marker").exists()


def test_planted_modules_are_refused(travelled: Path, tmp_path: Path):
    plant(travelled, tmp_path / "marker")
    done = python("run.py", "--verify", folder=travelled)
    assert done.returncode == 14
    assert done.stderr.startswith("error: PIL/__init__.py is in the bundle, but not in manifest.")
    assert not (tmp_path / "marker").exists()


def test_a_planted_package_does_not_replace_a_module(travelled: Path, tmp_path: Path):
    (travelled / "runtime" / "errors").mkdir()
    code = f"open({str(tmp_path / 'marker')!r}, 'a').write(__name__)\n"
    (travelled / "runtime" / "errors" / "__init__.py").write_text(code)
    assert python("run.py", "--verify", folder=travelled).returncode == 14
    assert not (tmp_path / "marker").exists()


def test_no_bytecode_is_written(travelled: Path):
    assert python("run.py", "--verify", folder=travelled).returncode == 0
    assert not list(travelled.rglob("__pycache__"))


def test_both_programs_share_the_isolation_code():
    folder = Path(kexport.runtime.__file__).parent
    texts = [(folder / f"{name}.py").read_text("utf-8") for name in PROGRAMS]
    first, second = (text[text.index("def _remove_own_folder_from_path") :] for text in texts)
    assert first == second


def test_a_label_cannot_control_the_terminal(build, tmp_path: Path, capsys):
    bundle = build(labels=["coal", "tomato", "\x1b[2J\x9b31m\u202e[red]", "sea", "snow"])
    name = str(colour(tmp_path / "lawn\x1b]0;x\x07.png", 20, 200, 40))
    assert main(bundle, [name, "-k", "1"]) == 0
    name_shown, best = capsys.readouterr().out.splitlines()
    assert name_shown == rf"{tmp_path}/lawn\x1b]0;x\x07.png"
    assert best.startswith(r"  \x1b[2J\x9b31m\u202e[red]  0.")


def test_a_fault_cannot_control_the_terminal(bundle: Path, rewrite, capsys):
    entry = {"sha256": "0" * 64, "bytes": 0}
    rewrite(bundle, lambda data: data["files"].update({"a\x9b2J\u2028b": entry}))
    assert main(bundle, ["--verify"]) == 14
    first, _ = capsys.readouterr().err.splitlines()
    assert first == r"error: a\x9b2J\u2028b is missing from the bundle"


def test_without_numpy(travelled: Path):
    code = (
        "import sys, runpy\nsys.modules['numpy'] = None\n"
        "runpy.run_path('run.py', run_name='__main__')"
    )
    done = python("-c", code, folder=travelled)
    assert done.returncode == 17
    assert done.stderr == (
        "error: numpy is not installed\nhint: run: pip install numpy pillow onnxruntime\n"
    )


def test_a_label_outside_the_terminals_encoding(build, tmp_path: Path, truth):
    bundle = build(program=True, labels=["coal", "tomato", "草", "sea", "snow"])
    colour(tmp_path / "lawn.png", 20, 200, 40)
    where = {"PYTHONIOENCODING": "ascii"}
    done = python("run.py", tmp_path / "lawn.png", "-k", 1, folder=bundle, **where)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"  ?  {scores(truth, 20, 200, 40)[2]}\n")


def test_several_images(bundle: Path, tmp_path: Path, truth, capsys):
    names = [colour(tmp_path / "a.png", 250, 10, 10), colour(tmp_path / "b.png", 250, 250, 250)]
    assert main(bundle, [*map(str, names), "-k", "1"]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.split() == [str(names[0]), "tomato", scores(truth, 250, 10, 10)[1]]
    assert second.split() == [str(names[1]), "snow", scores(truth, 250, 250, 250)[4]]


def test_a_bad_image_does_not_stop_the_others(bundle: Path, tmp_path: Path, capsys):
    good = colour(tmp_path / "good.png", 250, 10, 10)
    assert main(bundle, [str(tmp_path / "missing.png"), str(good)]) == 15
    out, err = capsys.readouterr()
    assert out.startswith(f"{good}\n  tomato  ")
    assert err == f"error: {tmp_path / 'missing.png'} cannot be opened: No such file or directory\n"


def test_json_lists_bad_images(bundle: Path, tmp_path: Path, capsys):
    (tmp_path / "bad.png").write_bytes(b"")
    assert main(bundle, [str(tmp_path / "bad.png"), "--json"]) == 15
    (answer,) = json.loads(capsys.readouterr().out)["pictures"]
    assert answer == {
        "picture": str(tmp_path / "bad.png"),
        "error": f"{tmp_path / 'bad.png'} is not an image of a known format",
    }


def test_json_holds_every_prediction(bundle: Path, tmp_path: Path, capsys):
    name = str(colour(tmp_path / "a.png", 0, 0, 0))
    assert main(bundle, [name, "--json", "--top-k", "3"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["pictures"]
    assert answer["picture"] == name
    assert answer["predictions"][0]["index"] == 0
    assert len(answer["predictions"]) == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give at least one image, or --verify"),
        (["-k", "0", "a.png"], "must be a whole number of 1 or more, not '0'"),
        (["--threads", "two", "a.png"], "must be a whole number of 1 or more, not 'two'"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_usage(bundle: Path, arguments: list[str], reason: str, capsys):
    with pytest.raises(SystemExit) as caught:
        main(bundle, arguments)
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_failed_verification(bundle: Path, reseal, tmp_path: Path, capsys):
    with np.load(bundle / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays["probabilities"] = arrays["probabilities"][::-1]
    np.savez(bundle / "golden.npz", **arrays)
    reseal(bundle)
    assert main(bundle, ["--verify", str(colour(tmp_path / "a.png", 0, 0, 0))]) == 12
    out = capsys.readouterr().out
    assert out.startswith("mean_colour for cpu-fp32: FAILED\n")
    assert "a.png" not in out


def test_a_changed_bundle(bundle: Path, capsys):
    (bundle / "labels.txt").write_bytes(b"x")
    assert main(bundle, ["--verify"]) == 14
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("error: labels.txt has 1 bytes, and the manifest says ")
    assert err.splitlines()[1].startswith("hint: export the model again")


def test_a_model_without_class_scores(build, tmp_path: Path, capsys):
    bundle = build(outputs=("features",), labels=None)
    assert main(bundle, [str(colour(tmp_path / "a.png", 0, 40, 80))]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/a.png\n  features  float32 [3]  0  40  80\n"


def test_ctrl_c(bundle: Path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kexport.runtime.cli.load", interrupted)
    assert main(bundle, ["a.png"]) == 130


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="CUDA may load here")
def test_a_warning_is_one_line(build, tmp_path: Path, capsys):
    bundle = build(edit=lambda data: data["target"].update(device="cuda"))
    assert main(bundle, [str(colour(tmp_path / "a.png", 0, 0, 0))]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: CUDAExecutionProvider did not load, so mean_colour runs on CPU")
    assert err.count("\n") == 1

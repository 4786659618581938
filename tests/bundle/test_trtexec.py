"""build_engine.sh: the options of each release, and the script as a shell runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kexport import targets
from kexport.bundle.trtexec import script

PROFILE = {"image": [[1, 8, 8, 3], [8, 8, 8, 3], [32, 8, 8, 3]]}
ECHO = '#!/bin/sh\nfor word in "$@"; do echo "$word"; done\npwd > where\n'


def words(tmp_path: Path, text: str, *more: str) -> list[str]:
    """Return the arguments that the script passes to trtexec, started from another folder."""
    folder = tmp_path / "a bundle"
    folder.mkdir(exist_ok=True)
    (folder / "build_engine.sh").write_text(text, encoding="utf-8")
    (folder / "engine.json").write_text("{}", encoding="utf-8")
    trtexec = tmp_path / "trtexec"
    trtexec.write_text(ECHO, encoding="utf-8")
    trtexec.chmod(0o755)
    command = ["sh", str(folder / "build_engine.sh"), *more]
    environment = {**os.environ, "TRTEXEC": str(trtexec)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=20, env=environment
    )
    assert (folder / "where").read_text(encoding="utf-8").strip() == str(folder)
    assert not (folder / "engine.json").exists()
    return done.stdout.splitlines()


COMMON = ["--onnx=model.onnx", "--saveEngine=engine.plan"]
OBEY = ["--precisionConstraints=obey", "--layerPrecisions=top/Softmax:fp32,x:fp32"]


@pytest.mark.parametrize(
    ("target", "jetpack", "tensorrt", "wanted"),
    [
        ("jetson-orin-fp16", "5.1", None, ["--fp16", *OBEY, "--timing", "--buildOnly"]),
        ("jetson-orin-fp16", "6.0", None, ["--fp16", *OBEY, "--timing", "--skipInference"]),
        ("jetson-orin-fp32", "6.0", None, ["--noTF32", "--timing", "--skipInference"]),
        ("jetson-orin-fp16", "6.2", None, ["--stronglyTyped", "--timing", "--skipInference"]),
        ("jetson-thor-fp16", None, "11.4", ["--timing", "--skipInference"]),
    ],
)
def test_the_dialects(
    tmp_path: Path, target: str, jetpack: str | None, tensorrt: str | None, wanted: list[str]
) -> None:
    found = targets.find(target, jetpack=jetpack, tensorrt=tensorrt)
    given = words(tmp_path, script(found, ("top/Softmax", "x"), {}))
    options = [word.replace("--timing", "--timingCacheFile=timing.cache") for word in wanted]
    assert given == [*COMMON, *options]


def test_before_8_4_the_workspace_is_a_quarter_of_the_memory(tmp_path: Path) -> None:
    text = script(targets.find("jetson-nano-fp16"), ("top/Softmax",), {})
    *options, workspace = words(tmp_path, text)
    assert options == [*COMMON, "--fp16"]
    assert "export to fp32 instead: top/Softmax\n" in text
    assert "export to fp32" not in script(targets.find("jetson-nano-fp32"), (), {})
    name, _, size = workspace.partition("=")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert name == "--workspace"
    assert int(size) == pytest.approx(pages / 4 / 2**20, rel=0.05)


def test_profiles_and_more_options(tmp_path: Path) -> None:
    text = script(targets.find("trt-fp32"), (), PROFILE)
    given = words(tmp_path, text, "--useDLACore=0", "--allowGPUFallback")
    shapes = [
        f"--{name}Shapes=image:{n}x8x8x3" for name, n in (("min", 1), ("opt", 8), ("max", 32))
    ]
    assert given[-5:] == [*shapes, "--useDLACore=0", "--allowGPUFallback"]

"""The library itself: the same bits as Python, from any thread, without allocating; and faults."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
from cpp_builds import same_bits

LARGEST = 300_000


@pytest.mark.parametrize("batch", [1, 2, None])
def test_outputs_equal_pythons_to_the_last_bit(sanitized, build, batch):
    assert same_bits(sanitized, build(batch=batch, outputs=("probabilities", "logits", "features")))


def test_several_threads(sanitized, bundle: Path):
    done = sanitized.run("driver", "threads", bundle, 8)
    assert (done.status, done.out, done.err) == (0, "0 wrong\n", "")


def test_nothing_is_allocated_after_the_first_call(sanitized, bundle: Path):
    done = sanitized.run("allocations", bundle)
    found = re.fullmatch(r"(\d+) before, (\d+) in the first call, (\d+) in .*\n", done.out)
    assert found is not None
    before, first, later = map(int, found.groups())
    assert before > 100  # the counter counts
    assert first > 0
    assert later == 0


def test_calls_that_are_refused(sanitized, bundle: Path):
    done = sanitized.run("driver", "faults", bundle)
    rows = [line.split("\t") for line in done.out.splitlines()]
    told = {row[0]: row[1:] for row in rows}
    takes = "input 'image' takes uint8 [1, 8, 6, 3], got "
    assert told == {
        "fits": ["done"],
        "no input": ["16", "input 'image' is missing", "the model's inputs are: image"],
        "no output": ["16", "no output was requested", "the model's outputs are: probabilities"],
        "unknown input": ["16", "no input named 'photo'", "the model's inputs are: image"],
        "unknown output": [
            "16",
            "no output named 'scores'",
            "the model's outputs are: probabilities",
        ],
        "twice": ["16", "input 'image' is given twice", ""],
        "wrong type": [
            "16",
            f"{takes}float32 [1, 8, 6, 3]",
            "pass RGB as uint8 0..255: preprocessing is inside the model",
        ],
        "wrong size": [
            "16",
            f"{takes}uint8 [1, 6, 8, 3]",
            "give pixels in this size and layout, or use classify(), which does",
        ],
        "no batch": [
            "16",
            f"{takes}uint8 [8, 6, 3]",
            "give pixels in this size and layout, or use classify(), which does",
        ],
        "free size": [
            "16",
            f"{takes}uint8 [N, 8, 6, 3]",
            "give pixels in this size and layout, or use classify(), which does",
        ],
        "huge": [
            "16",
            f"{takes}uint8 [{2**63 - 1}, {2**63 - 1}, 6, 3]",
            "give pixels in this size and layout, or use classify(), which does",
        ],
        "null": ["16", "input 'image' has no data", "pass a pointer to memory"],
        "wrong output": ["16", "output 'probabilities' is float32 [1, 5], got float32 [5]", ""],
        "fits again": ["done"],
        "named": ["done"],
        "renamed": ["16", "no input named 'Image'", "the model's inputs are: image"],
        "null image": [
            "16",
            "an image of 8 x 6 has no pixels",
            "pass a pointer, and a width and height of 1 or more",
        ],
        "short rows": [
            "16",
            "a stride of 17 is less than a row of 18 bytes",
            "pass the bytes from one row to the next, or 0",
        ],
        "video": [
            "16",
            "an image in NV12 of 8 x 6 does not fit the input 'image', uint8 [1, 8, 6, 3] in RGB",
            "convert it to RGB, or export with the --input-format and size of the camera",
        ],
        "threads": ["16", "threads must be 0 or more, not -1", ""],
    }


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing.so", "cannot be loaded: "),
        ("empty", "there is no libonnxruntime.so in "),
        ("libz.so.1", "the library is not ONNX Runtime: "),
    ],
)
def test_unusable_libraries_are_refused(
    plain, bundle: Path, tmp_path: Path, place: str, reason: str
):
    (tmp_path / "empty").mkdir()
    named = place if place.startswith("libz") else tmp_path / place
    done = plain.run("kexport-verify", bundle, "--onnxruntime", named)
    assert (done.status, done.out) == (17, "")
    assert reason in done.err
    assert "hint: run: pip install onnxruntime, or name the library with KEXPORT_" in done.err


def test_a_library_of_the_oldest_release(sanitized, bundle: Path):
    """Nothing is called that came after 1.11, whatever headers it is built with."""
    (real,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*")
    old = sanitized.folder.parent / "old"
    on_old = replace(sanitized, environment={"REAL_ONNXRUNTIME": str(real)})
    done = on_old.run("kexport-verify", bundle, "--onnxruntime", old)
    assert (done.status, done.err) == (0, "")
    assert "samples on onnxruntime 1.11.0, CPUExecutionProvider" in done.out


def test_cuda_that_does_not_load(plain, bundle: Path, rewrite):
    rewrite(bundle, lambda data: data["target"].update(device="cuda", name="cuda-fp32"))
    done = plain.run("kexport-verify", bundle)
    assert "CPUExecutionProvider" in done.out or "CUDAExecutionProvider" in done.out
    if "CPUExecutionProvider" in done.out:
        assert "warning: CUDAExecutionProvider did not load, so mean_colour runs on CPU" in done.err
        assert "install onnxruntime-gpu" in done.err
    assert done.status == 0


def test_kexport_bench(plain, bundle: Path):
    done = plain.run("kexport-bench", bundle, "--seconds", "0.05")
    lines = done.out.splitlines()
    assert (done.status, done.err) == (0, "")
    assert lines[2].split()[:2] == ["threads", "runs"]
    assert [line.split()[0] for line in lines[3:]] == ["1", "all"]
    for line in lines[3:]:
        _, runs, *times = map(float, line.replace("all", "0").split())
        assert runs >= 10
        assert 0 < times[0] <= times[1] <= times[2] <= times[3]


@pytest.mark.parametrize("name", ["kexport-verify", "kexport-classify", "kexport-bench"])
def test_size_and_libraries_of_a_program(plain, tmp_path: Path, name: str):
    """Under 300 kB without symbols, and linked to no engine: any release of it serves."""
    stripped = shutil.copy(plain.folder / name, tmp_path / name)
    subprocess.run(["strip", stripped], check=True)
    assert Path(stripped).stat().st_size < LARGEST
    table = subprocess.run(["readelf", "-d", stripped], capture_output=True, text=True, check=True)
    needed = set(re.findall(r"NEEDED.*\[(\w+)", table.stdout))
    allowed = {"libcrypto", "libz", "libstdc", "libgcc_s", "libm", "libc", "libjpeg", "libpng16"}
    assert needed <= {*allowed, "libdl", "libpthread", "ld"}


def test_a_missing_header_is_named(sources: Path, tmp_path: Path):
    nowhere = "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY", f"-DCMAKE_FIND_ROOT_PATH={tmp_path}"
    command = ["cmake", "-S", sources, "-B", tmp_path / "build", *nowhere]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert "nlohmann-json's header nlohmann/json.hpp is not found." in told
    assert "apt install nlohmann-json3-dev" in told
    assert ";" not in told


def test_missing_packages_are_named_at_once(sources: Path, tmp_path: Path):
    there = [f"-DKEXPORT_JSON={tmp_path}"]
    gone = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("OpenSSL", "ZLIB")]
    command = ["cmake", "-S", sources, "-B", tmp_path, *gone, *there]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "OpenSSL's libcrypto is not found.\n" in done.stderr
    assert "On Debian and Ubuntu:\n\n    apt install libssl-dev zlib1g-dev\n" in done.stderr


def test_a_build_inside_a_bundle_is_refused(sources: Path, bundle: Path):
    shutil.copytree(sources, bundle / "cpp")
    command = ["cmake", "-S", bundle / "cpp", "-B", bundle / "build"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "A bundle holds only what its manifest lists, so build outside of it" in done.stderr

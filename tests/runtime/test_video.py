"""Videos and cameras: each frame is answered as the same pixels in an image file would be."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import kexport.cli
from kexport.runtime.cli import main

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (opencv-python-headless)")

COUNT, RATE = 5, 12.5
Pixels = NDArray[np.uint8]


@pytest.fixture
def frames() -> list[Pixels]:
    """Draw RGB frames whose red, green and blue differ, each of another colour."""
    random = np.random.default_rng(1)
    colours = [(230, 20, 30), (20, 200, 40), (10, 30, 220), (240, 250, 245), (5, 5, 9)]
    return [
        np.clip(np.array(colour) + random.integers(-5, 6, (48, 64, 3)), 0, 255).astype(np.uint8)
        for colour in colours
    ]


@pytest.fixture
def clip(frames: list[Pixels], tmp_path: Path) -> str:
    """Write the frames without loss, as OpenCV takes them: BGR."""
    path = str(tmp_path / "clip.mkv")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"FFV1"), RATE, (64, 48))
    if not writer.isOpened():
        pytest.skip("this build of OpenCV does not write FFV1")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


@pytest.fixture
def images(frames: list[Pixels], tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / f"{number}.png") for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def lines(capsys: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("command", ["run.py", "kexport run"])
def test_frames_are_answered_as_images(
    bundle: Path, clip: str, images: list[str], capsys: Any, command: str
) -> None:
    run = (
        main
        if command == "run.py"
        else lambda bundle, words: kexport.cli.main(["run", str(bundle), *words])
    )
    assert run(bundle, [*images, "--jsonl"]) == 0
    expected = lines(capsys)
    assert len({entry["predictions"][0]["label"] for entry in expected}) == COUNT
    assert run(bundle, [clip, "--jsonl"]) == 0
    found = lines(capsys)
    assert [(entry["picture"], entry["frame"]) for entry in found] == [
        (clip, number) for number in range(COUNT)
    ]
    assert [entry["seconds"] for entry in found] == pytest.approx(
        [number / RATE for number in range(COUNT)]
    )
    for entry, wanted in zip(found, expected, strict=True):
        assert entry["predictions"] == wanted["predictions"]


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_saved_frames_are_those_of_images(
    masked: Any, boxed: Any, clip: str, images: list[str], tmp_path: Path, capsys: Any, task: str
) -> None:
    bundle = masked(3) if task == "segment" else boxed("xyxy")
    more = ["--threshold", "0.1"] if task == "detect" else []
    assert main(bundle, [*images, "--jsonl", "--save", str(tmp_path / "a"), *more]) == 0
    expected = [Path(entry["saved"]) for entry in lines(capsys)]
    assert main(bundle, [clip, "--jsonl", "--save", str(tmp_path / "b"), *more]) == 0
    found = [Path(entry["saved"]) for entry in lines(capsys)]
    assert [path.name for path in found] == [f"clip-{number:06}.png" for number in range(COUNT)]
    for own, wanted in zip(found, expected, strict=True):
        pair = [np.asarray(Image.open(path).convert("RGB")) for path in (own, wanted)]
        np.testing.assert_array_equal(*pair)


class Camera:
    """A camera of OpenCV that gives two frames, and then fails."""

    opened: list[Any]

    def __init__(self, name: Any) -> None:
        Camera.opened = [name]
        self.left = 2 if name == 3 else 0

    def read(self) -> tuple[bool, Pixels | None]:
        self.left -= 1
        return self.left >= 0, np.full((8, 6, 3), (40, 200, 20), np.uint8)  # BGR

    def release(self) -> None:
        Camera.opened.append("released")


def test_a_camera_is_read_by_its_number(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert main(bundle, ["camera:3", "--jsonl"]) == 15
    first, second, last = lines(capsys)
    assert last["error"].startswith("camera:3 gave no more frames after 2")
    assert Camera.opened == [3, "released"]
    assert (first["picture"], first["frame"], first["seconds"]) == ("camera:3", 0, 0)
    assert second["frame"] == 1
    assert second["seconds"] >= 0
    assert first["predictions"][0]["label"] == "grass"
    assert main(bundle, ["camera:4", "--jsonl"]) == 15
    assert "camera:4 has no frame that OpenCV can read" in capsys.readouterr().err


def test_videos_that_cannot_be_read(bundle: Path, images: list[str], tmp_path: Path, capsys: Any):
    """Each is a line with its error, and the others are answered."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    missing = str(tmp_path / "missing.MOV")
    assert main(bundle, [missing, str(broken), images[1], "--jsonl"]) == 15
    first, second, third = lines(capsys)
    assert first["error"] == f"{missing} cannot be opened: No such file or directory"
    assert [first["picture"], second["picture"]] == [missing, str(broken)]
    assert second["error"] == f"{broken} has no frame that OpenCV can read"
    assert third["predictions"][0]["label"] == "grass"


def test_a_video_needs_lines(bundle: Path, clip: str, capsys: Any) -> None:
    assert main(bundle, ["missing.png", clip]) == 16
    told = capsys.readouterr().err
    assert told == f"error: {clip} is answered frame by frame\nhint: add --jsonl\n"


def test_without_opencv(
    bundle: Path, clip: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(bundle, [clip, "--jsonl"]) == 17
    told = capsys.readouterr().err
    assert f"error: OpenCV is needed to read {clip}\n" in told
    assert "hint: run: pip install opencv-python-headless\n" in told

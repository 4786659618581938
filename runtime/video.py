"""Frames of video files and cameras, which OpenCV reads where it is installed."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BadImage, EngineMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
"""Endings, in any case, of the files that are read as videos."""

_CAMERA = re.compile(r"camera:(\d+)")


@dataclass(frozen=True)
class Frame:
    """A frame of a video: `pixels` uint8 [height, width, 3], RGB.

    `number` is 0 for the first one. `seconds` is the time since the first one: for a file as the
    video plays, for a camera as the frames came.
    """

    source: str
    number: int
    seconds: float
    pixels: NDArray[np.uint8]

    @property
    def file_name(self) -> str:
        """A name for a file of it, without ending: clip-000012, camera0-000012."""
        stem = os.path.splitext(os.path.basename(self.source))[0].replace(":", "")
        return f"{stem}-{self.number:06}"


def is_video(word: str) -> bool:
    """Whether a word names a video by its ending, or a camera: `camera:0`."""
    return word.lower().endswith(SUFFIXES) or bool(_CAMERA.fullmatch(word))


def frames(source: str) -> Iterator[Frame]:
    """Yield the frames of a video file to its end, or those of a camera without end.

    Frames are rotated as the file says. OpenCV gives BGR, which becomes RGB.

    Raises EngineMissing without OpenCV; BadImage for a video without a frame that can be read.
    """
    try:
        import cv2
    except ImportError as error:
        raise EngineMissing(
            f"OpenCV is needed to read {source}", hint="run: pip install opencv-python-headless"
        ) from error
    camera = _CAMERA.fullmatch(source)
    if not camera and not os.path.exists(source):
        raise BadImage(f"{source} cannot be opened: No such file or directory")
    capture = cv2.VideoCapture(int(camera[1]) if camera else source)
    try:
        yield from _read(capture, source, camera is not None)
    finally:
        capture.release()


def _read(capture: Any, source: str, is_camera: bool) -> Iterator[Frame]:
    import cv2

    number, start = 0, 0.0
    while True:
        there, bgr = capture.read()
        if not there:
            break
        now = time.monotonic() if is_camera else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        start = start if number else now
        yield Frame(source, number, round(now - start, 6), cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        number += 1
    if number == 0 or is_camera:
        raise BadImage(
            f"{source} gave no more frames after {number}"
            if number
            else f"{source} has no frame that OpenCV can read",
            hint="check the cable and the number of the camera, and that no other program uses it"
            if is_camera
            else "check that it is a video, in a format that this build of OpenCV reads",
        )

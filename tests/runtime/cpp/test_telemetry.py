"""ONNX Runtime's telemetry is off: it leaves no database in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from kexport.needs import need
from kexport.runtime import load

ALONE = "from kexport.runtime import load; load(path)"
WITHIN = (
    "from kexport.needs import need; need('onnxruntime').InferenceSession(f'{path}/model.onnx')"
)
VARIABLE = "ORT_DISABLE_TELEMETRY"

Kept = Callable[[Sequence[str], Mapping[str, str]], list[Path]]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Return a function that runs a command and lists the files it left in the home folder."""

    def run(command: Sequence[str], environment: Mapping[str, str]) -> list[Path]:
        home = tmp_path / "home"
        home.mkdir()
        here = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
        places = {"HOME": str(home), "TMPDIR": str(home)}
        subprocess.run(command, env=here | places, check=True, timeout=60)
        return [path for path in home.rglob("*") if path.is_file()]

    return run


def unset(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != VARIABLE}


@pytest.mark.parametrize("code", [ALONE, WITHIN])
def test_in_python(code: str, bundle: Path, kept: Kept) -> None:
    command = [sys.executable, "-B", "-c", f"import sys; path = sys.argv[1]; {code}", str(bundle)]
    assert not kept(command, unset(os.environ))


@pytest.mark.parametrize("program", [["kexport-verify"], ["kexport-bench", "--seconds", "0.1"]])
def test_in_cpp(plain, program: list[str], bundle: Path, kept: Kept) -> None:
    name, *options = program
    assert not kept(plain.command(name, bundle, *options), unset(plain.surroundings))


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_the_users_setting_is_kept(
    before: str | None, after: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for use in (lambda: load(bundle), lambda: need("onnxruntime")):
        if before is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, before)
        use()
        assert os.environ[VARIABLE] == after

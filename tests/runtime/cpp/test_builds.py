"""The builds that the other tests use; `make test` starts this file early, parallel to the lint."""

from __future__ import annotations

import os

import pytest

PROGRAMS = {
    "plain": ("kexport-verify", "kexport-classify", "kexport-bench", "verifier"),
    "sanitized": ("kexport-verify", "driver", "allocations", "example-documented"),
    "aarch64": ("kexport-verify", "verifier"),
}


@pytest.mark.slow
@pytest.mark.parametrize("build", PROGRAMS)
def test_programs_are_built(request: pytest.FixtureRequest, build: str):
    folder = request.getfixturevalue(build).folder
    assert all(os.access(folder / program, os.X_OK) for program in PROGRAMS[build])

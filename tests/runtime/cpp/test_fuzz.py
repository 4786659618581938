"""Any bytes as manifest.json and golden.npz: read or refused, under ASan and UBSan.

libFuzzer's own limit of memory counts the peak of the process that started it (`ru_maxrss` outlives
`exec`), which here is the test run's; so single allocations are limited instead.

The fuzzers are built with clang. They run for long by hand:

    build/cpp/sanitized-*/bin/fuzz-manifest CORPUS
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.mark.parametrize(("fuzzer", "seed"), [("manifest", "manifest.json"), ("npz", "golden.npz")])
def test_fuzzing_finds_nothing(sanitized, bundle: Path, tmp_path: Path, fuzzer: str, seed: str):
    if not (sanitized.folder / f"fuzz-{fuzzer}").exists():
        pytest.skip("clang++ is not installed; .ci/packages installs it on Debian")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    shutil.copy(bundle / seed, corpus)
    limits = ["-seed=1", "-max_total_time=2", "-max_len=8192", "-timeout=10"]
    limits += ["-rss_limit_mb=0", "-malloc_limit_mb=256"]
    done = sanitized.run(f"fuzz-{fuzzer}", corpus, *limits, f"-artifact_prefix={tmp_path}/")
    assert done.status == 0, done.err[-2000:]
    assert "DONE" in done.err

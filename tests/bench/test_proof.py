"""The arithmetic and pages of the benchmarks of the proof; nothing here is timed."""

from pathlib import Path
from types import ModuleType

import pytest


def draw(seed: int, *, passed: bool = True, noise: float = 1e-6, **other: object) -> dict:
    """Return the line of one draw of bench/proof.py."""
    right = {"passed": passed, "row": "y", "error": 1e-6, "tolerance": 1e-4}
    planted = [
        {
            "name": "bias missing",
            "outcome": outcome,
            "moved": moved,
            "visible": 3.0,
            "unreached": 1,
            **right,
        }
        for outcome, moved in (("refused", 9.0), ("accepted", 0.0), ("changes nothing", 0.0))
    ]
    sharp = [{"family": "dense", "weight": 1e-3 * (seed + 1), "kernel": 1e-5}]
    return {
        "seed": seed,
        "feature": "Dense",
        "redraws": {"outputs": 1},
        "right": right,
        "noise": noise,
        "planted": planted,
        "sharpness": sharp,
        **other,
    }


def test_the_proof_counts_models_that_float32_does_not_determine_on_their_own(
    bench: dict[str, ModuleType],
) -> None:
    page = bench["proof_page"]
    draws = [draw(0), draw(1, passed=False), draw(2, passed=False, noise=0.3)]
    text = " ".join(page.section(draws).split())
    assert "3 random models were drawn" in text
    assert "For 2 of them the rounding noise is below 0.025" in text
    assert "which are right, **1** were refused" in text
    assert "Of 4 graphs of theirs with a fault of one of 1 kinds, **2** were accepted" in text
    assert "1 of their right graphs were refused, and 1 of 2 faults accepted" in text


def test_the_proof_reports_failures_and_quantiles(bench: dict[str, ModuleType]) -> None:
    page = bench["proof_page"]
    draws = [*(draw(seed) for seed in range(10)), {"seed": 10, "failed": "ValueError: no"}]
    text = page.summary(draws)
    assert "11 draws, 10 judged; redraws {'outputs': 10}" in text
    assert "failed 10: ValueError: no" in text
    assert "| dense | 5.5e-03 | 9.9e-03 | 1.0e-05 | 1.0e-05 | 10 |" in page.section(draws)


def test_a_run_of_the_proof_goes_on_after_a_line_that_was_cut_off(
    bench: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = tmp_path / "proof.jsonl"
    lines.write_text('{"seed": 3}\n{"seed": 4, "failed": "no"}\n{"seed": 5, "fa', encoding="utf-8")
    ran = []
    monkeypatch.setattr(bench["proof"], "trial", lambda seed: ran.append(seed) or {"seed": seed})
    bench["proof"].run(3, 3, lines)
    assert ran == [4, 5]
    assert set(bench["proof"].read(lines)) == {3, 4, 5}


def test_a_weight_without_effect_is_the_largest_of_its_kernel(bench: dict[str, ModuleType]) -> None:
    assert bench["sharpness"].middle([None, 1e-3, 2e-3]) == 2e-3
    assert bench["sharpness"].middle([None, None, 1e-3]) is None

"""The examples whose answers are labels or numbers: as good in a bundle as in Keras."""

from __future__ import annotations

import pytest
from cpp_builds import Build
from example_bundles import (
    Exported,
    as_good_as_keras,
    exported,
    same_in_cpp,
    same_in_run_py,
)

pytestmark = pytest.mark.slow

each = pytest.mark.parametrize(
    "example", ["classify", "binary", "multilabel", "regress"], indirect=True
)


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(request.param, tmp_path_factory.mktemp(request.param))


@each
def test_a_bundle_is_as_good_as_keras(example: Exported) -> None:
    as_good_as_keras(example)


@each
def test_run_py_answers_the_same(example: Exported) -> None:
    same_in_run_py(example)


@each
def test_cpp_answers_the_same(
    example: Exported, plain: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    same_in_cpp(example, plain, capsys)

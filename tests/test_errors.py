"""The tree of errors is the one in the docstring and in docs/cli.md, and each has a number."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kexport import errors
from kexport.errors import KexportError, MissingDependency, did_you_mean, one_line
from kexport.needs import need
from kexport.runtime.errors import RuntimeFault

BASES: tuple[type[Exception], ...] = (KexportError, RuntimeFault)


def classes() -> list[type[Exception]]:
    """List the two base classes, each before its subclasses, which have no subclasses."""
    found = [known for base in BASES for known in (base, *base.__subclasses__())]
    assert not any(leaf.__subclasses__() for leaf in found if leaf not in BASES)
    return found


def code_of(error: type[Exception]) -> int:
    return int(error.exit_code)  # type: ignore[attr-defined]


def test_the_docstring_draws_the_tree() -> None:
    drawn = re.findall(r"^(?:[├└]── )?([A-Z]\w+) +(\d+) ", errors.__doc__ or "", re.MULTILINE)
    assert drawn == [(known.__name__, str(code_of(known))) for known in classes()]


def test_each_error_has_a_number_of_its_own() -> None:
    codes = [code_of(known) for known in classes() if known not in BASES]
    assert sorted(codes) == list(range(2, max(codes) + 1))


def test_the_documents_list_each_exit_status(root: Path) -> None:
    page = (root / "docs" / "cli.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| (?:`(\w+)`)?", page, re.MULTILINE)
    expected = {(str(code_of(known)), known.__name__) for known in classes() if known not in BASES}
    assert expected | {("0", ""), ("1", ""), ("130", "")} == set(listed)


@pytest.mark.parametrize("known", classes(), ids=lambda known: known.__name__)
def test_each_error_carries_a_hint(known: type[Exception]) -> None:
    error = known("something happened", hint="do this")  # type: ignore[call-arg]
    assert str(error) == "something happened"
    assert error.hint == "do this"  # type: ignore[attr-defined]
    assert known("something happened").hint is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("inception_v4", "did you mean 'inception_v3'?"),
        ("INCEPTION_V3", "did you mean 'inception_v3'?"),
        ("vgg", "did you mean 'VGG16'?"),
        ("transformer", None),
        ("", None),
    ],
)
def test_did_you_mean(word: str, hint: str | None) -> None:
    assert did_you_mean(word, ["inception_v3", "VGG16"]) == hint


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("first\nsecond", "first"),
        ("\n  indented  \n", "indented"),
        ("", "ValueError"),
        ("the reason is:\nthis\nrest", "the reason is: this"),
        ("outer\n\nException encountered: inner\nrest", "inner"),
        ("word " * 100, "word " * 59 + "[...]"),
    ],
)
def test_the_reason_of_an_error_is_one_line(message: str, line: str) -> None:
    assert one_line(ValueError(message)) == line


def test_need_returns_the_module() -> None:
    assert need("json") is sys.modules["json"]
    assert isinstance(need("os.path"), ModuleType)


@pytest.mark.parametrize(
    ("module", "extra", "hint"),
    [
        ("no_such_thing", None, "install it with: pip install 'no-such-thing'"),
        ("no_such_thing.inner", None, "install it with: pip install 'no-such-thing'"),
        ("no_such_thing", "cpu", "install it with: pip install 'kexport[cpu]'"),
    ],
)
def test_need_says_how_to_install(module: str, extra: str | None, hint: str) -> None:
    with pytest.raises(MissingDependency, match=f"needs {module}, which is not") as caught:
        need(module, extra=extra)
    assert caught.value.hint == hint


@pytest.mark.parametrize("line", ["import no_such_thing", "raise ImportError('libx.so: missing')"])
def test_need_tells_broken_from_missing(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kexport_broken_module.py").write_text(line, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match="is installed, but does not load") as caught:
        need("kexport_broken_module", extra="cpu")
    assert caught.value.hint == "see what is missing with: kexport doctor"

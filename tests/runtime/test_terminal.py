"""Untrusted text cannot control the terminal that it is printed on."""

import sys
import unicodedata

import pytest

from kexport.cli import terminal as of_the_command_line
from kexport.runtime.terminal import printable

EVERY = "".join(map(chr, range(sys.maxunicode + 1)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tabby, caf\xe9, \u8349, \U0001f600, [red]", "tabby, caf\xe9, \u8349, \U0001f600, [red]"),
        ("\x1b[31m\x07\x7f", r"\x1b[31m\x07\x7f"),
        ("\x9b31m\x9d0;title\x9c", r"\x9b31m\x9d0;title\x9c"),
        ("a\rb\nc\td", r"a\x0db\x0ac\x09d"),
        ("\u202egpj.\u2066exe\u2069", r"\u202egpj.\u2066exe\u2069"),
        ("\u2028\u2029", r"\u2028\u2029"),
        (b"\xff\x1b.jpg".decode("utf-8", "surrogateescape"), r"\xff\x1b.jpg"),
        ("\ud800", r"\ud800"),
    ],
)
def test_text_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_no_control_character_is_left() -> None:
    shown = printable(EVERY)
    assert {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"} == set()
    turns = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    assert {unicodedata.bidirectional(c) for c in shown} & turns == set()


def test_the_command_line_has_the_same_function() -> None:
    assert of_the_command_line.printable(EVERY) == printable(EVERY)

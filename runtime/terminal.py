"""Terminal output: untrusted text, such as labels and file names, made safe to print."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, bidirectional overrides, and the
surrogates with which Python represents bytes that are not UTF-8."""

_BYTES = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    r"""Return the text as one line, with characters that control a terminal escaped (\x1b, \u202e).

    Line breaks are escaped too (\x0a), so that no name can imitate a line of output. Text that was
    made printable once is returned unchanged.
    """
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _BYTES:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

"""Safe printing of untrusted text; as `kexport.runtime.terminal`, but without NumPy."""

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, overrides of the writing
direction, and surrogates, which represent bytes that are not UTF-8."""

_BYTES = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    r"""Return one line with every character that could steer a terminal written as \x1b or \u202e.

    A line break is written as \x0a, so that a name cannot look like a line of its own. Printable
    text is returned unchanged.
    """
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _BYTES:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

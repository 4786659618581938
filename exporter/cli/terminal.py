"""Text that others wrote, made safe to print; as `kexport.runtime.terminal`, which brings NumPy."""

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), separators of lines and paragraphs, the overrides that turn the
direction of writing, and what stands for a byte that is not UTF-8."""

_BYTES = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    r"""Return one line with every character that could steer a terminal written as \x1b or \u202e.

    A line break is written as \x0a, so that no name can pass for a line of its own. A text that was
    made printable once stays as it is.
    """
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _BYTES:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

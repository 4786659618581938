"""Markdown for the pages under docs/ that benchmarks write."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path


def joined(parts: Iterable[str]) -> str:
    """Join the parts of a page with blank lines, and wrap those that are paragraphs."""
    return "\n\n".join(
        part if part.startswith(("#", "|", "-")) else wrapped(part) for part in parts
    )


def wrapped(text: str) -> str:
    """Break a paragraph into lines of at most 100 characters; it may have line breaks already."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column aligned to the left and the others to the right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None, digits: int) -> str:
    """Format a number with fixed digits, or as a dash if there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def error(value: float | None) -> str:
    """Format an error with two digits, such as 2.1e-06."""
    return "-" if value is None else f"{value:.1e}"


def put_section(page: Path, name: str, text: str, title: str) -> None:
    """Replace one section of a page, or append it, and leave the sections of other benchmarks."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    old = page.read_text(encoding="utf-8") if page.exists() else f"# {title}\n"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    whole = found.sub(lambda _: section, old) if begin in old else f"{old.rstrip()}\n\n{section}\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(whole, encoding="utf-8")

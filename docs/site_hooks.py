"""MkDocs hooks: the documents beside docs/ join the site, and links and API entries are resolved.

The pages are written to be read on a forge, with links relative to the repository. A link to the
README leads to the site's front page, and a link to a source file, which the site does not have,
becomes plain text. MkDocs warns of all others that lead nowhere.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Documents in the repository's root that become pages."""

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
ENTRY = re.compile(r"^### .+\n\n.+\n<!-- ::: (\S+) -->$", re.MULTILINE)
"""The heading and summary that a forge shows; the site has the object's documentation instead."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add the documents of the repository's root to the site."""
    for name in BESIDE:
        content = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Resolve the links and the API entries of one page."""
    del config
    uri = page.file.src_uri
    folder = "" if uri in BESIDE else posixpath.join("docs", posixpath.dirname(uri))

    def resolve(link: re.Match[str]) -> str:
        text, path, anchor = link[1], link[2], link[3] or ""
        target = posixpath.normpath(posixpath.join(folder, path))
        if target == "README.md":
            target, anchor = "docs/index.md", ""
        inside = target.removeprefix("docs/")
        if files.get_file_from_path(inside) is None:
            return text if (ROOT / target).exists() else link[0]
        relative = posixpath.relpath(inside, posixpath.dirname(uri) or ".")
        return f"[{text}]({relative}{anchor})"

    return ENTRY.sub(r"::: \1", LINK.sub(resolve, markdown))

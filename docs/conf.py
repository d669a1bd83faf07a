"""Sphinx settings of the site: `make docs` builds it from docs/ without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "src"))

from descend.handbook.page import Page  # noqa: E402
from descend.handbook.page_lookup import load_all_pages  # noqa: E402
from descend.version import __version__  # noqa: E402

project = "descend"
project_copyright = "2026, the descend contributors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
exclude_patterns = ["_build"]
html_extra_path = ["schemas"]
myst_heading_anchors = 4
highlight_language = "text"  # most blocks show what a terminal prints
html_use_index = False  # of seventeen names: wider than a phone, and the page has them too
html_css_files = ["wrap.css"]
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
autodoc_member_order = "bysource"
default_role = "code"
autodoc_typehints = "signature"
html_static_path = ["static"]

HANDBOOK = DOCS / "handbook"
TABLES = "measured_tables.md"
"""A copy of benchmarks/results/tables.md in that folder."""
OUTSIDE_LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")


def write_handbook(app: Sphinx) -> None:
    """Write a Markdown file for each page of the handbook, and their list."""
    HANDBOOK.mkdir(exist_ok=True)
    groups: dict[str, list[Page]] = {}
    for page in load_all_pages().values():
        groups.setdefault(page.group, []).append(page)
        write_if_changed(HANDBOOK / f"{page.name}.md", page.text)
    listing = ["# Handbook", "The pages of `descend explain`."]
    for group, members in groups.items():
        names = "\n".join(page.name for page in members)
        listing.append(f"## {group}\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```")
    write_if_changed(HANDBOOK / "index.md", "\n\n".join(listing) + "\n")


def write_tables(app: Sphinx) -> None:
    """Copy the page of all measured tables."""
    text = (DOCS.parent / "benchmarks" / "results" / "tables.md").read_text(encoding="utf-8")
    text = "---\norphan: true\n---\n\n" + text.replace("(../../docs/", "(../")
    write_if_changed(HANDBOOK / TABLES, text)


def rewrite_links(app: Sphinx, name: str, source: list[str]) -> None:
    """Turn links out of docs/ into links to the copied page, or into the name of the file."""
    text = source[0].replace("](../benchmarks/results/tables.md", f"](handbook/{TABLES}")
    source[0] = OUTSIDE_LINK.sub(name_outside_file, text)


def name_outside_file(link: re.Match[str]) -> str:
    """Return the label of a link and the file that it leads to, once where they are the same."""
    label, path = link.groups()
    file = f"`{path}` in the repository"
    return file if label in (path, Path(path).stem) else f"{label} ({file})"


def write_if_changed(path: Path, text: str) -> None:
    """Write a file, unless it holds this text."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Have generated pages written before the documents are read."""
    app.connect("builder-inited", write_handbook)
    app.connect("builder-inited", write_tables)
    app.connect("source-read", rewrite_links)

"""The page of each bug: its file's docstring, read without importing it."""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from importlib.resources import files

import msgspec

HEADINGS = (
    "What it is", "How it shows", "Not to be confused", "Proof", "How to fix",
    "When it is not this", "Source",
)  # fmt: skip
"""Of the docstring of every bug, in this order."""


class BugPage(msgspec.Struct, frozen=True):
    """A bug in words; `sections` by heading."""

    name: str
    title: str
    sections: dict[str, str]


@cache
def load_bug_pages() -> dict[str, BugPage]:
    """Return a page for every bug, by name. Loads nothing heavy."""
    folder = files("descend.program_check") / "bugs"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".py"))
    return {
        name.removesuffix(".py"): parse_bug_page(
            name.removesuffix(".py"), (folder / name).read_text(encoding="utf-8")
        )
        for name in names
        if name != "__init__.py"
    }


def parse_bug_page(name: str, source: str) -> BugPage:
    """Return the page that stands in the docstring of `source`; `ValueError` if headings are not
    right."""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    title, *chunks = re.split(r"^([A-Z][\w ]+):\n", docstring, flags=re.MULTILINE)
    sections = {
        section: textwrap.dedent(body).strip()
        for section, body in zip(chunks[::2], chunks[1::2], strict=True)
    }
    if tuple(sections) != HEADINGS or not all(sections.values()):
        raise ValueError(f"{name}: needs these headings in order, none empty: {HEADINGS}")
    return BugPage(name, title.strip().rstrip("."), sections)

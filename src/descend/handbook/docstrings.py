"""The pages of causes and bugs: each is the docstring of its file in the doctor.

Read as text, without importing it: to explain a cause must not load torch.
"""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from importlib.resources import files

from descend.doctor.pages import pages_of_bugs
from descend.handbook.page import Page, all_pages

GROUPS = ("Causes", "Bugs")

_HEADING = re.compile(r"^([A-Z][\w ]+):\n", re.MULTILINE)
_NAME = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)*\b")


@cache
def doctor_pages() -> dict[str, Page]:
    """Every cause and bug by name, sorted by group and then by title."""
    place = files("descend.doctor") / "causes"
    causes = [
        _cause(file.name.removesuffix(".py"), file.read_text(encoding="utf-8"))
        for file in place.iterdir()
        if file.name.endswith(".py") and file.name != "__init__.py"
    ]
    bugs = [
        Page(bug.name, bug.title, "Bugs", (), (), bug.sections) for bug in pages_of_bugs().values()
    ]
    found = sorted([*causes, *bugs], key=lambda p: (GROUPS.index(p.group), p.title.lower()))
    names = {page.name for page in found} | all_pages().keys()
    return {page.name: _linked(page, names) for page in found}


def _cause(name: str, source: str) -> Page:
    words = ast.get_docstring(ast.parse(source)) or ""
    title, *pieces = _HEADING.split(words)
    sections = {
        heading: textwrap.dedent(body).strip("\n")
        for heading, body in zip(pieces[::2], pieces[1::2], strict=True)
    }
    if not title.strip() or not sections or not all(sections.values()):
        raise ValueError(f"{name}.py: its docstring needs a title and headings, none empty")
    return Page(
        name=name, title=title.strip().rstrip("."), group="Causes", see_also=(), aliases=(),
        sections=sections,
    )  # fmt: skip


def _linked(page: Page, names: set[str]) -> Page:
    """`page` with the pages that it mentions by a name that is no everyday word."""
    text = "\n".join(page.sections.values())
    mentioned = dict.fromkeys(
        word for word in _NAME.findall(text)
        if word in names and word != page.name and ("_" in word or f"`{word}`" in text)
    )  # fmt: skip
    return Page(page.name, page.title, page.group, tuple(mentioned), page.aliases, page.sections)

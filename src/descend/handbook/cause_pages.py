"""The pages of causes and bugs, each the docstring of a file of `diagnosis` or `program_check`.

Those of bugs are read as text: their files load torch, which to explain one must not.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from functools import cache

from descend.diagnosis.cause import HEADINGS, Cause
from descend.diagnosis.causes import CAUSES
from descend.handbook.metric_glossary import EXPECTED, PAGE_METRICS, expected_range_text
from descend.handbook.page import WIDTH, Page, load_markdown_pages
from descend.program_check.bug_pages import load_bug_pages

GROUPS = ("Causes", "Bugs")

_SECTION_TITLE = re.compile(r"^([A-Z][\w ]+):\n", re.MULTILINE)
_NAME = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)*\b")


@cache
def cause_and_bug_pages() -> dict[str, Page]:
    """Return every cause and bug by name, sorted by group and then by title."""
    causes = [parse_cause_page(cause) for cause in CAUSES]
    bugs = [
        Page(bug.name, bug.title, "Bugs", (), (), bug.sections) for bug in load_bug_pages().values()
    ]
    pages = sorted([*causes, *bugs], key=lambda p: (GROUPS.index(p.group), p.title.lower()))
    names = {page.name for page in pages} | load_markdown_pages().keys()
    return {page.name: _linked(page, names) for page in pages}


def parse_cause_page(cause: Cause) -> Page:
    """Return the page of `cause`; `ValueError` if its headings are not right."""
    title, *chunks = _SECTION_TITLE.split(inspect.cleandoc(cause.page))
    expected = textwrap.fill(expected_range_text(cause), WIDTH, break_on_hyphens=False)
    sections = {
        section: textwrap.dedent(body).strip("\n").replace(EXPECTED, expected)
        for section, body in zip(chunks[::2], chunks[1::2], strict=True)
    }
    if not title.strip() or tuple(sections) != HEADINGS or not all(sections.values()):
        raise ValueError(f"{cause.name}: needs these headings in order, none empty: {HEADINGS}")
    metrics = {e.metric for e in cause.expected_ranges}
    about = tuple(
        page for page, page_metrics in PAGE_METRICS.items() if metrics & set(page_metrics)
    )
    return Page(
        name=cause.name, title=title.strip().rstrip("."), group="Causes", see_also=about,
        aliases=(), sections=sections,
    )  # fmt: skip


def _linked(page: Page, names: set[str]) -> Page:
    """Return `page` with the pages that it mentions by a name that is no everyday word, before
    those that it has already."""
    text = "\n".join(page.sections.values())
    mentioned = dict.fromkeys(
        word for word in _NAME.findall(text)
        if word in names and word != page.name and ("_" in word or f"`{word}`" in text)
    )  # fmt: skip
    see_also = tuple(mentioned | dict.fromkeys(page.see_also))
    return Page(page.name, page.title, page.group, see_also, page.aliases, page.sections)

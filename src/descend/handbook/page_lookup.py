"""A page by any name that a person gives it."""

from __future__ import annotations

import difflib
import re
from functools import cache

from descend.errors import UserError
from descend.handbook.cause_pages import cause_and_bug_pages
from descend.handbook.metric_glossary import PAGE_METRICS
from descend.handbook.page import Page, load_markdown_pages

NEAR_ENOUGH = 0.7
"""Likeness (difflib's ratio) from which an unknown name is taken for a misspelt one."""


def load_all_pages() -> dict[str, Page]:
    """Return settings, choices, ideas and signals, then causes and bugs."""
    return load_markdown_pages() | cause_and_bug_pages()


def find_page(what: str) -> Page:
    """Return the page that `what` names in any spelling; `UserError` suggests the nearest."""
    names = _names()
    query = _plain(what)
    for spelling in (query, query.removesuffix("s"), query + "s"):
        if spelling in names:
            return load_all_pages()[names[spelling]]
    near = difflib.get_close_matches(query, list(names), n=1, cutoff=NEAR_ENOUGH)
    raise UserError(
        what, "no page of that name", "one of the pages that `descend explain` lists",
        f"did you mean {names[near[0]]}" if near else "choose one of them",
    )  # fmt: skip


@cache
def _names() -> dict[str, str]:
    """Return the name of a page by each of its spellings; a name comes before titles and aliases,
    these before the measurements that it is about."""
    pages = load_all_pages().values()
    other = {_plain(word): page for page, metrics in PAGE_METRICS.items() for word in metrics}
    other |= {_plain(word): page.name for page in pages for word in (page.title, *page.aliases)}
    return other | {_plain(page.name): page.name for page in pages}


def _plain(word: str) -> str:
    """Letters and digits alone: `Embed-dim`, `embed_dim` and `embed dim` are one word."""
    return re.sub(r"[^a-z0-9]", "", word.lower())

"""What `descend explain` shows: a page, with or without a run, or the list of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.errors import UserError
from descend.handbook import docstrings
from descend.handbook.find import every_page, find
from descend.handbook.page import GROUPS, page_text
from descend.handbook.yours import read_run, yours
from descend.handbook.yours.found import found

YOURS = "In your run"


class Shown(msgspec.Struct, frozen=True):
    """The same thing as Markdown and as plain data."""

    text: str
    data: dict[str, Any]


def explained(what: str, run: Path | None = None) -> Shown:
    """The page that `what` names; with `run`, a section with that run's numbers comes first.

    Raises `UserError` if no page has that name or `run` is no folder of a run.
    """
    page = find(what)
    sections = page.sections
    data: dict[str, Any] = {"name": page.name, "title": page.title, "group": page.group}
    if run is not None:
        said = yours(page.name, read_run(run)) if page.group != "Causes" else found(page.name, run)
        data["yours"] = said
        sections = {YOURS: said or "A run holds no number about this."} | sections
    text = page_text(page.title, sections, page.see_also)
    return Shown(text, data | {"see_also": page.see_also, "sections": page.sections, "text": text})


def listed(run: Path | None = None) -> Shown:
    """All pages by group; `UserError` if there is a run to speak of but no page."""
    if run is not None:
        raise UserError(
            "--run", "no WHAT beside it", "the name of a page",
            f"try `descend explain learning_rate --run {run}`",
        )  # fmt: skip
    pages = every_page().values()
    blocks = ["# Pages of the handbook"]
    for group in (*GROUPS, *docstrings.GROUPS):
        lines = [f"- `{page.name}`: {page.title}" for page in pages if page.group == group]
        blocks.append("\n".join([f"## {group}", "", *lines]))
    blocks.append("`descend explain NAME` shows one; with `--run RUN` it speaks of that run.")
    data = [{"name": p.name, "title": p.title, "group": p.group} for p in pages]
    return Shown("\n\n".join(blocks), {"pages": data})

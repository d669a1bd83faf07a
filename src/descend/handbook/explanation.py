"""What `descend explain` shows: a page, with or without a run, or the list of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.errors import UserError
from descend.handbook import cause_pages
from descend.handbook.page import GROUPS, page_text
from descend.handbook.page_lookup import find_page, load_all_pages
from descend.handbook.run_notes import describe_run
from descend.handbook.run_notes.diagnosis_notes import describe_cause
from descend.runs.recorded_run import open_run_with_epoch

RUN_SECTION_TITLE = "In your run"


class Explanation(msgspec.Struct, frozen=True):
    """The same thing as Markdown and as plain data."""

    text: str
    data: dict[str, Any]


def explain_page(what: str, run: Path | None = None) -> Explanation:
    """Return the page that `what` names; with `run`, a section with that run's numbers comes first.

    Raises `UserError` if no page has that name or `run` is no folder of a run.
    """
    page = find_page(what)
    sections = page.sections
    data: dict[str, Any] = {"name": page.name, "title": page.title, "group": page.group}
    if run is not None:
        said = (
            describe_run(page.name, open_run_with_epoch(run))
            if page.group != "Causes"
            else describe_cause(page.name, run)
        )
        data["yours"] = said
        sections = {RUN_SECTION_TITLE: said or "A run holds no number about this."} | sections
    text = page_text(page.title, sections, page.see_also)
    return Explanation(
        text, data | {"see_also": page.see_also, "sections": page.sections, "text": text}
    )


def list_pages(run: Path | None = None) -> Explanation:
    """Return all pages by group; `UserError` if there is a run to speak of but no page."""
    if run is not None:
        raise UserError(
            "--run", "no WHAT beside it", "the name of a page",
            f"try `descend explain learning_rate --run {run}`",
        )  # fmt: skip
    pages = load_all_pages().values()
    blocks = ["# Pages of the handbook"]
    for group in (*GROUPS, *cause_pages.GROUPS):
        lines = [f"- `{page.name}`: {page.title}" for page in pages if page.group == group]
        blocks.append("\n".join([f"## {group}", "", *lines]))
    blocks.append("`descend explain NAME` shows one; with `--run RUN` it speaks of that run.")
    data = [{"name": p.name, "title": p.title, "group": p.group} for p in pages]
    return Explanation("\n\n".join(blocks), {"pages": data})

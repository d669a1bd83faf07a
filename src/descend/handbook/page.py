"""The pages of the handbook: read and checked.

A page is a Markdown file in `pages/`: a head of `key: value` lines between two lines of `---`,
then the seven `HEADINGS` in order. `{facts}` in it stands for default, bounds and presets, which
are filled in from the configuration so that no page can disagree with it; `{healthy}` for the
reference ranges of the diagnosis.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from importlib.resources import files

import msgspec

from descend.handbook.metric_glossary import HEALTHY, reference_range_text
from descend.handbook.setting_facts import describe_setting

GROUPS = (
    "Data", "Model", "Optimization", "Hardware", "Output", "Choices", "Generation", "Ideas",
    "Signals",
)  # fmt: skip
"""In the order in which they are listed; the first five are those of the configuration keys."""

HEADINGS = (
    "What it is",
    "An analogy",
    "In technical words",
    "More and less",
    "Typical values",
    "What to try",
    "Further reading",
)

FACTS = "{facts}"

WIDTH = 98
"""Columns of a line of the pages."""


class Page(msgspec.Struct, frozen=True):
    """A page as data; `sections` by heading, in order."""

    name: str
    title: str
    group: str
    see_also: tuple[str, ...]
    aliases: tuple[str, ...]
    """Other names that people use for it."""
    sections: dict[str, str]

    @property
    def text(self) -> str:
        """Return the page as Markdown."""
        return page_text(self.title, self.sections, self.see_also)


def page_text(title: str, sections: dict[str, str], see_also: tuple[str, ...]) -> str:
    """Return markdown of a title, sections by heading, and the names of related pages."""
    parts = [f"# {title}", *(f"## {section}\n\n{body}" for section, body in sections.items())]
    links = ["See also: " + ", ".join(f"`{name}`" for name in see_also)] if see_also else []
    return "\n\n".join([*parts, *links])


@cache
def load_markdown_pages() -> dict[str, Page]:
    """Return every page by name, sorted by group and then by title."""
    folder = files("descend.handbook") / "pages"
    pages = [
        parse_page(file.name.removesuffix(".md"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".md")
    ]
    pages.sort(key=lambda page: (GROUPS.index(page.group), page.title.lower()))
    return {page.name: page for page in pages}


def parse_page(name: str, content: str) -> Page:
    """Return the page that stands in file `name`.md; `ValueError` says what is wrong with it."""
    opening, head, body = (*content.split("---\n", 2), "", "")[:3]
    fields = {key: value for key, _, value in (x.partition(": ") for x in head.splitlines())}
    if opening or fields.keys() - {"aliases"} != {"name", "title", "group", "see_also"}:
        raise ValueError(f"{name}.md: needs a head of name, title, group and see_also")
    if fields["name"] != name or fields["group"] not in GROUPS:
        raise ValueError(f"{name}.md: its name or group {fields['group']} is not right")
    chunks = re.split(r"^## (.+)\n", body, flags=re.MULTILINE)
    sections = {h: s.strip("\n") for h, s in zip(chunks[1::2], chunks[2::2], strict=True)}
    if chunks[0].strip() or tuple(chunks[1::2]) != HEADINGS or not all(sections.values()):
        raise ValueError(f"{name}.md: needs these headings in order, none empty: {HEADINGS}")
    for mark, about in ((FACTS, describe_setting), (HEALTHY, reference_range_text)):
        if mark in body:
            about_text = textwrap.fill(about(name), WIDTH, break_on_hyphens=False)
            sections = {h: s.replace(mark, about_text) for h, s in sections.items()}
    return Page(
        name=name,
        title=fields["title"],
        group=fields["group"],
        see_also=_listed(fields["see_also"]),
        aliases=_listed(fields.get("aliases", "")),
        sections=sections,
    )


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())

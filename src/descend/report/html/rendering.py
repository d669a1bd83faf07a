"""A page into one HTML file that fetches nothing.

Its policy lets only the scripts run that were put in here, known by their hashes, and nothing be
loaded: neither the user's text nor a sample can bring in more, even if an escape were missed.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from descend.report.html.chart_labels import legend_entries
from descend.report.html.echarts import load_echarts_script, policy_hash
from descend.report.html.report_page import ReportPage

MARK = "descend report"
"""Names the maker in the head of a file: by it an older report is known and may be replaced."""


def render(page: ReportPage) -> str:
    """Return `page` as HTML; one without figures carries no script."""
    figures = page.figures()
    script = load_echarts_script() if figures else None
    starter = _file("report.js")
    allowed = [policy_hash(starter), script.policy] if script else []
    return _environment().get_template("page.html").render(
        page=page, notes=page.warnings, mark=MARK, style=_file("report.css"),
        drawn=script is not None, starter=starter, packed=script.packed if script else "",
        allowed=" ".join(allowed) or "'none'",
        options=to_script_json([figure.choices or {"": figure.option} for figure in figures]),
        numbers={id(figure): number for number, figure in enumerate(figures)},
    )  # fmt: skip


def to_script_json(value: object) -> str:
    """JSON that can stand in a script element: no `<` of a user's text ends or opens one."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )


def _file(name: str) -> str:
    return (files("descend.report.html") / "templates" / name).read_text(encoding="utf-8")


def _tie_numbers(text: str) -> str:
    """Return `text` that is not broken within `95 %` or `vocab_size = 257`."""
    return re.sub(r"(?<=\d) (?=%)| (?==)|(?<==) ", "\N{NO-BREAK SPACE}", text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("descend.report.html"), undefined=StrictUndefined,
        autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["identity"] = id
    environment.filters["legend"] = legend_entries
    environment.filters["unbroken"] = _tie_numbers
    return environment

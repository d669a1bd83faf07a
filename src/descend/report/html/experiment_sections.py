"""What the reports of experiments share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from descend.config import RunConfig
from descend.experiments.estimate import Estimate
from descend.handbook.setting_facts import format_setting
from descend.report.html.charts import BETTER, Axis, IntervalBar, intervals
from descend.report.html.report_page import (
    Command,
    Figure,
    Paragraph,
    ReportBlock,
    ReportTable,
    Section,
    word_columns,
)
from descend.version import __version__

MADE_BY = f"Report of an experiment · descend {__version__}"


def repeat_section(command: str) -> Section | None:
    """Return what repeats an experiment; None where it was not written down."""
    if not command:
        return None
    return Section(
        "again",
        "Repeat this experiment",
        (
            Paragraph(
                "The command as it was typed. Runs that are still in the cache take no time."
            ),
            Command(command),
        ),
    )


def make_interval_bar(name: str, estimate: Estimate) -> IntervalBar:
    """Return a bar of the chart: its ends are the value where there is no interval."""
    low, high = estimate.ci95 or (estimate.value, estimate.value)
    return IntervalBar(name, estimate.value, low, high)


def interval_figure(title: str, label: str, bars: Sequence[IntervalBar], unit: str) -> Figure:
    """Return a figure of loss reductions with their intervals; `label` begins its description."""
    description = "; ".join(
        f"{b.name} {b.value:+.3f} ({b.low:+.3f} to {b.high:+.3f})" for b in bars
    )
    return Figure(
        title,
        f"{label}: {description}.",
        intervals(bars, Axis(f"{unit} · {BETTER}")),
        height=70 + 34 * max(len(bars), 1),
    )


def settings_tables(
    caption: str, config: Mapping[str, Any], keys: Iterable[str], folded: bool = False
) -> list[ReportBlock]:
    """Return a table of the settings of `config` among `keys` that are not the default, if any."""
    rows = tuple(
        (key, format_setting(config[key]), format_setting(RunConfig.model_fields[key].default))
        for key in keys
        if key in config and config[key] != RunConfig.model_fields[key].default
    )
    columns = word_columns("setting", "value", "default")
    return [ReportTable(caption, columns, rows, folded=folded)] if rows else []

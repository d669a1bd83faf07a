"""What the reports of experiments share."""

from __future__ import annotations

from descend.experiments.estimate import Estimate
from descend.report.html.charts import IntervalBar
from descend.report.html.report_page import Command, Paragraph, Section
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

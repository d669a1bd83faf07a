"""What went on inside while it trained: rate, gradients, how far the weights moved."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from descend.diagnosis.reference_ranges import reference_range
from descend.handbook.run_notes.wording import format_percent
from descend.report.html.chart_points import smooth
from descend.report.html.charts import Area, Axis, Curve, HorizontalLine, curves
from descend.report.html.report_page import (
    Figure,
    Paragraph,
    ReportBlock,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.html.sections.curve_events import curve_events
from descend.report.html.sections.epoch_axis import steps_to_epochs
from descend.runs.events import WeightUpdateStats
from descend.runs.recorded_run import RecordedRun
from descend.units import format_significant

MAX_MATRICES = 60
"""Rows of the table of matrices."""


def optimization_section(run: RecordedRun) -> Section | None:
    """Return curves of the quantities that tell of trouble before the loss does."""
    if not run.steps:
        return None
    blocks: list[ReportBlock] = [_rate(run), *_norm(run)]
    if run.update_ratios:
        blocks += _ratios(run)
    return Section("inside", "Inside the training", (
        Paragraph(
            "These curves show problems before the loss does: a gradient that grows or spikes, "
            "weights that hardly move or move wildly."
        ),
        *blocks,
    ), teaser="learning rate, gradients, size of the steps")  # fmt: skip


def _rate(run: RecordedRun) -> Figure:
    rates = [s.learning_rate for s in run.steps]
    return Figure(
        "Learning rate",
        f"Learning rate by epoch: {format_significant(rates[0])} at first,"
        f" {format_significant(max(rates))} at most, {format_significant(rates[-1])} at the end,"
        f" schedule {run.config.schedule}.",
        curves(
            [
                Curve(
                    "learning rate",
                    steps_to_epochs(run, [s.step for s in run.steps]),
                    rates,
                    "@second",
                )
            ],
            Axis("epochs", min_value=0),
            Axis("rate", min_value=0),
            marks=curve_events(run),
        ),
        height=200,
    )


def _norm(run: RecordedRun) -> list[Figure | Paragraph]:
    made = [s for s in run.steps if s.gradient_norm is not None]
    norms = run.gradient_norms
    if not norms:
        return []
    x = steps_to_epochs(run, [s.step for s in made])
    after = [r.value for r in run.summary.rollbacks if r.adjustment == "clip"]
    clip = after[-1] if after else run.config.gradient_clip
    levels = [HorizontalLine("clipped above", clip)] if clip else []
    median, max_norm = statistics.median(norms), max(norms)
    description = (
        f"The median was {format_significant(median)}, the largest {format_significant(max_norm)}"
        f" at step {made[norms.index(max_norm)].step:,}"
        + (
            f"; {format_percent(run.clipped_step_fraction)} of the steps were clipped."
            if clip
            else "."
        )
    )
    return [
        Figure(
            "Norm of the gradient, before clipping",
            f"Gradient norm by epoch. {description}",
            curves(
                [
                    Curve("gradient norm", x, norms, "@second", "raw"),
                    Curve("gradient norm", x, smooth(norms), "@second"),
                ],
                Axis("epochs", min_value=0),
                Axis("norm", log=True),
                levels=levels,
                marks=curve_events(run),
            ),
            height=240,
        ),
        Paragraph(description, is_secondary=True),
    ]


def median_update_ratios(records: Sequence[WeightUpdateStats]) -> list[tuple[int, float]]:
    """Return the step of each record and the median update-to-weight ratio of its matrices."""
    medians = []
    for record in records:
        sizes = record.weight_rms
        ratios = [
            r for n, r in record.update_to_weight_ratio.items() if sizes.get(n, 0.0) > 0 and r > 0
        ]
        if ratios:
            medians.append((record.step, statistics.median(ratios)))
    return medians


def _ratios(run: RecordedRun) -> list[Figure | ReportTable]:
    medians = median_update_ratios(run.weight_updates)
    low, high = reference_range("update_to_weight_ratio", run.config.optimizer)
    last = float(run.epochs[-1].epoch)
    rows = sorted(run.update_ratios.items(), key=lambda item: -item[1])[:MAX_MATRICES]
    figure = Figure(
        "How far one step moves the weights, relative to their size",
        "Median update-to-weight ratio by epoch;"
        f" {format_significant(statistics.median(run.update_ratios.values()))} over the run. The"
        " table below has every matrix.",
        curves(
            [
                Curve(
                    "median of the matrices",
                    steps_to_epochs(run, [s for s, _ in medians]),
                    [r for _, r in medians],
                    "@second",
                )
            ],
            Axis("epochs", min_value=0),
            Axis("ratio", log=True),
            areas=[Area(f"usual for {run.config.optimizer}", (0.0, last), (low, high))]
            if low is not None and high is not None
            else [],
        ),
        height=220,
    )
    table = ReportTable(
        "The same for each weight matrix: median over the run after warmup",
        (word_columns("matrix") + number_columns("update ÷ weight")),
        tuple((name.removesuffix(".weight"), format_significant(ratio)) for name, ratio in rows),
        folded=True,
    )
    return [figure, table] if medians else [table]

"""The report of a run that has not finished an epoch: most often one that diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from descend.errors import RunFolderError
from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
from descend.report.html.chart_points import smooth
from descend.report.html.charts import Axis, Curve, HorizontalLine, curves
from descend.report.html.report_page import (
    Fact,
    Facts,
    Figure,
    ReportPage,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.html.sections.diagnosis_findings import diagnosis_section
from descend.report.html.sections.requested_config import config_section, repeat_section
from descend.report.html.sections.summary import subtitle
from descend.report.text.diagnosis_summary import headline
from descend.report.text.next_step import choose_next_step
from descend.runs.events import Step
from descend.runs.recorded_run import RecordedRun
from descend.runs.suggestions import describe_next_step, suggest_fix
from descend.units import format_count, format_significant

LAST = 12
"""Steps shown as a table: the ones before the end."""

MAX_PLOTTED_LOSS = 100.0
"""Nats per token: far above what guessing costs; beyond it only a log axis shows all."""

_ENDED = {
    "diverged": "it diverged",
    "interrupted": "it was interrupted",
    "failed": "it failed",
    "finished": "it was finished",
}


def unfinished_run_report(run: RecordedRun) -> ReportPage:
    """Return what the steps made so far show; `RunFolderError` if `run` made none."""
    steps = run.steps
    if not steps:
        raise RunFolderError(
            str(run.folder), "a run without a single step", "at least one",
            suggest_fix(run.folder),
        )  # fmt: skip
    diagnosed = load_saved_diagnosis(run.folder)
    sections = [
        diagnosis_section(diagnosed) if diagnosed else None,
        _steps_section(run),
        config_section(run.metadata, run.folder),
        repeat_section(run),
    ]
    return ReportPage(
        title=run.folder.resolve().name,
        subtitle=subtitle(run),
        lead=(
            _how_it_ended(run),
            *((headline(diagnosed),) if diagnosed else ()),
            f"Next: {describe_next_step(choose_next_step(run, diagnosed))}.",
        ),
        figure=_loss_figure(steps),
        facts=Facts((
            Fact("steps made", f"{steps[-1].step:,}", "before the first epoch ended"),
            Fact("first loss", loss_word(steps[0].loss), "nats per token"),
            Fact("last loss", loss_word(steps[-1].loss), "nats per token"),
            Fact("highest rate", format_significant(max(s.learning_rate for s in steps)), ""),
        )),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training run · descend {run.metadata.version}",
        warnings=(
            "There is no validation loss yet, and no model to inspect.", *run.event_problems,
        ),
    )  # fmt: skip


def loss_word(loss: float) -> str:
    """Return a loss, also one that has run away."""
    return f"{loss:.3f}" if loss < MAX_PLOTTED_LOSS else format_significant(loss)


def _how_it_ended(run: RecordedRun) -> str:
    why = _ENDED[run.stopped.reason] if run.stopped else "it may still be training"
    losses = [s.loss for s in run.steps]
    return (
        f"This run made {format_count(run.num_steps, 'step')} and did not finish its first epoch: "
        f"{why}. Its training loss went from {loss_word(losses[0])} to {loss_word(losses[-1])}, "
        f"the lowest was {loss_word(min(losses))}."
    )


def _loss_figure(steps: Sequence[Step]) -> Figure:
    x, losses = [float(s.step) for s in steps], [s.loss for s in steps]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return Figure(
        "Training loss of each step, nats per token: lower is better",
        f"From {loss_word(losses[0])} to {loss_word(losses[-1])}; the last steps are below.",
        curves(
            [
                Curve("each step", x, losses, "@calm", "raw"),
                Curve("smoothed", x, smooth(losses), "@accent"),
            ],
            Axis("steps"),
            Axis("nats per token", log=max(finite, default=0.0) > MAX_PLOTTED_LOSS),
        ),
        height=300,
    )


def _steps_section(run: RecordedRun) -> Section:
    made = [(float(s.step), s.gradient_norm) for s in run.steps if s.gradient_norm is not None]
    norms = [norm for _, norm in made]
    clip = run.config.gradient_clip
    level = [HorizontalLine("clipped above", clip)] if clip else []
    return Section(
        "updates",
        "What it did",
        (
            Figure(
                "Norm of the gradient, before clipping",
                f"From {format_significant(norms[0]) if norms else 'none'} to"
                f" {format_significant(norms[-1]) if norms else 'none'}; the table below has the"
                " last.",
                curves(
                    [Curve("gradient norm", [a for a, _ in made], norms, "@second")],
                    Axis("steps"),
                    Axis("norm", log=True),
                    levels=level,
                ),
                height=240,
            ),
            _last_steps_table(run.steps),
        ),
    )


def _last_steps_table(steps: Sequence[Step]) -> ReportTable:
    return ReportTable(
        f"The last {min(LAST, len(steps))} steps",
        (number_columns("step", "loss", "gradient norm", "rate") + word_columns("clipped")),
        tuple(
            (
                f"{s.step:,}",
                loss_word(s.loss),
                "not finite" if s.gradient_norm is None else format_significant(s.gradient_norm),
                format_significant(s.learning_rate),
                "yes" if s.clipped else "no",
            )
            for s in steps[-LAST:]
        ),
    )

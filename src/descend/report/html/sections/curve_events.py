"""Where something happened on the way: the schedule went on, or training diverged."""

from __future__ import annotations

from descend.report.html.charts import VerticalLine
from descend.report.html.report_page import (
    Paragraph,
    ReportBlock,
    ReportTable,
    number_columns,
    word_columns,
)
from descend.report.html.sections.epoch_axis import steps_to_epochs
from descend.runs.events import Rollback
from descend.runs.recorded_run import RecordedRun
from descend.training.lr_schedule import schedule_phases
from descend.units import format_significant


def curve_events(run: RecordedRun) -> list[VerticalLine]:
    """Phases of the schedule, and rollbacks by the number of their row in `rollback_blocks`."""
    return [*_phases(run), *_rollback_marks(run)]


def _phases(run: RecordedRun) -> list[VerticalLine]:
    """Return where a phase begins: after that many steps, on the axis of epochs."""
    phases = schedule_phases(run.config, run.config.warmup_steps or 0, run.total_steps)
    epochs = steps_to_epochs(run, [step for step, _ in phases])
    last = steps_to_epochs(run, [run.num_steps])[0]
    by_step = [
        VerticalLine(label, x) for (_, label), x in zip(phases, epochs, strict=True) if x < last
    ]
    rates = run.config.learning_rate
    if not isinstance(rates, dict):
        return by_step
    later = [epoch for epoch in sorted(rates)[1:] if epoch - 1 < last]
    return by_step + [VerticalLine(f"rate {format_significant(rates[e])}", e - 1.0) for e in later]


def _rollback_marks(run: RecordedRun) -> list[VerticalLine]:
    """Return one mark for all rollbacks that went back to the same step: `1–3`."""
    numbers_by_step: dict[int, list[int]] = {}
    for number, rollback in enumerate(run.summary.rollbacks, 1):
        numbers_by_step.setdefault(rollback.step, []).append(number)
    epochs = steps_to_epochs(run, list(numbers_by_step))
    return [
        VerticalLine(
            f"{numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]), x, is_alert=True
        )
        for numbers, x in zip(numbers_by_step.values(), epochs, strict=True)
    ]


def rollback_blocks(run: RecordedRun) -> list[ReportBlock]:
    """Return what each numbered mark stands for; nothing where training never diverged."""
    rollbacks = run.summary.rollbacks
    if not rollbacks:
        return []
    rows = tuple(
        (str(n), f"{r.failed_step:,}", r.problem, f"{r.step:,}", _change(r))
        for n, r in enumerate(rollbacks, 1)
    )
    columns = (
        number_columns("mark", "diverged at step")
        + word_columns("found")
        + number_columns("back to the state after")
        + word_columns("then")
    )
    return [
        Paragraph(
            "The numbered lines show where training continued after it diverged. The discarded "
            "steps are not drawn. `descend explain divergence_rollback` explains rollbacks."
        ),
        ReportTable("Rollbacks: where training diverged, and what was changed", columns, rows),
    ]


def _change(rollback: Rollback) -> str:
    if rollback.adjustment == "skip":
        return f"{rollback.value:,.0f} batches left out"
    if rollback.adjustment == "clip":
        return f"gradients clipped at {format_significant(rollback.value)}"
    return f"the rate times {format_significant(rollback.value)}"

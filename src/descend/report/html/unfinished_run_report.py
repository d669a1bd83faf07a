"""The report of a run that has not finished an epoch: most often one that went astray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from descend.errors import RunFolderError
from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
from descend.handbook.run_notes.wording import format_significant
from descend.report.html.charts import Axis, Curve, HorizontalLine, curves, smooth
from descend.report.html.page import (
    Fact,
    Facts,
    Figure,
    ReportPage,
    ReportTable,
    Section,
    TableColumn,
)
from descend.report.html.sections.config import config_section, repeat_section
from descend.report.html.sections.diagnosis import diagnosis_section
from descend.report.text.diagnosis import headline
from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Event, Step, TrainingStopped
from descend.runs.run_files import RunMetadata, read_info
from descend.runs.suggestions import suggest_fix

LAST = 12
"""Updates shown as a table: the ones before the end."""

MAX_PLOTTED_LOSS = 100.0
"""Nats per token: far above what guessing costs; beyond it only a log axis shows all."""

_ENDED = {
    "diverged": "its numbers ran away",
    "interrupted": "it was interrupted",
    "failed": "it failed",
    "finished": "it was finished",
}


def has_no_finished_epoch(records: Sequence[Event]) -> bool:
    """Whether the run has made a step but not finished an epoch."""
    return any(isinstance(r, Step) for r in records) and not any(
        isinstance(r, Epoch) for r in records
    )


def unfinished_run_report(folder: Path) -> ReportPage:
    """What the updates made so far show; `RunFolderError` if `folder` is no run or made none."""
    info, records = read_info(folder), read_events(folder)
    steps = [r for r in records if isinstance(r, Step)]
    if not steps:
        raise RunFolderError(
            str(folder), "a run without a single update", "at least one",
            suggest_fix(folder),
        )  # fmt: skip
    diagnosed = load_saved_diagnosis(folder)
    sections = [
        diagnosis_section(diagnosed) if diagnosed else None,
        _updates(info, steps),
        config_section(info, folder),
        repeat_section(info, folder),
    ]
    lead = (_how_it_ended(records, steps),)
    return ReportPage(
        title=folder.resolve().name,
        subtitle=f"{info.corpus['corpus']} · {info.saved_at.partition('T')[0]}",
        lead=(headline(diagnosed), *lead) if diagnosed else lead,
        facts=Facts((
            Fact("updates made", f"{steps[-1].step:,}", "before the first epoch ended"),
            Fact("first loss", loss_word(steps[0].loss), "nats per token"),
            Fact("last loss", loss_word(steps[-1].loss), "nats per token"),
            Fact("highest rate", format_significant(max(s.learning_rate for s in steps)), ""),
        )),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training run · descend {info.version}",
        warnings=("there was no judgment on held-out text yet, and so no model to look into",),
    )  # fmt: skip


def loss_word(loss: float) -> str:
    """A loss, also one that has run away."""
    return f"{loss:.3f}" if loss < MAX_PLOTTED_LOSS else format_significant(loss)


def _how_it_ended(records: Sequence[Event], steps: Sequence[Step]) -> str:
    last = next((r for r in reversed(records) if isinstance(r, TrainingStopped)), None)
    why = f"{_ENDED[last.reason]}" if last else "it may still be training"
    return (
        f"This run has made {steps[-1].step:,} updates and not finished its first epoch: {why}. "
        f"Its training loss went from {loss_word(steps[0].loss)} to {loss_word(steps[-1].loss)}, "
        f"the lowest was {loss_word(min(s.loss for s in steps))}."
    )


def _updates(info: RunMetadata, steps: Sequence[Step]) -> Section:
    x = [float(s.step) for s in steps]
    losses = [s.loss for s in steps]
    made = [(float(s.step), s.gradient_norm) for s in steps if s.gradient_norm is not None]
    norms = [norm for _, norm in made]
    clip = float(info.resolved_config.get("gradient_clip") or 0)
    level = [HorizontalLine("clipped above", clip)] if clip else []
    return Section(
        "updates",
        "What it did",
        (
            Figure(
                "Loss of each update on its own batch, nats per token",
                f"From {loss_word(losses[0])} to {loss_word(losses[-1])}; the table below has the "
                "last updates.",
                curves(
                    [
                        Curve("loss", x, losses, "@calm", "raw"),
                        Curve("loss", x, smooth(losses), "@calm"),
                    ],
                    Axis("updates"),
                    Axis("nats per token", log=max(losses) > MAX_PLOTTED_LOSS),
                ),
                height=300,
            ),
            Figure(
                "Norm of the gradient, before clipping",
                f"From {format_significant(norms[0]) if norms else 'none'} to"
                f" {format_significant(norms[-1]) if norms else 'none'}; the table below has the"
                " last.",
                curves(
                    [Curve("gradient norm", [a for a, _ in made], norms, "@second")],
                    Axis("updates"),
                    Axis("norm", log=True),
                    levels=level,
                ),
                height=240,
            ),
            _last_steps_table(steps),
        ),
    )


def _last_steps_table(steps: Sequence[Step]) -> ReportTable:
    return ReportTable(
        f"The last {min(LAST, len(steps))} updates",
        (
            TableColumn("update"),
            TableColumn("loss"),
            TableColumn("gradient norm"),
            TableColumn("rate"),
            TableColumn("clipped", False),
        ),
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

"""Where something happened on the way: the schedule went on, or the numbers ran away."""

from __future__ import annotations

from descend.handbook.yours.record import RunRecord
from descend.handbook.yours.wording import significant
from descend.report.figures import Mark
from descend.report.page import Block, Column, Paragraph, Table
from descend.report.parts.progress import progress_of
from descend.runs.records import Rescue
from descend.training.schedule import phases


def marks(run: RunRecord) -> list[Mark]:
    """Phases of the schedule, and rescues by the number of their row in `rescues`."""
    return [*_phases(run), *_rescues(run)]


def _phases(run: RunRecord) -> list[Mark]:
    """Where a phase begins: after that many steps, on the axis of epochs."""
    found = phases(run.config, run.config.warmup_steps or 0, run.all_steps)
    places = progress_of(run, [step for step, _ in found])
    last = progress_of(run, [run.updates])[0]
    by_step = [Mark(words, x) for (_, words), x in zip(found, places, strict=True) if x < last]
    rates = run.config.learning_rate
    if not isinstance(rates, dict):
        return by_step
    later = [epoch for epoch in sorted(rates)[1:] if epoch - 1 < last]
    return by_step + [Mark(f"rate {significant(rates[e])}", e - 1.0) for e in later]


def _rescues(run: RunRecord) -> list[Mark]:
    """One mark for all rescues that went back to the same step: `1–3`."""
    found: dict[int, list[int]] = {}
    for number, rescue in enumerate(run.summary.rescues, 1):
        found.setdefault(rescue.step, []).append(number)
    places = progress_of(run, list(found))
    return [
        Mark(f"{held[0]}–{held[-1]}" if len(held) > 1 else str(held[0]), x, loud=True)
        for held, x in zip(found.values(), places, strict=True)
    ]


def rescues(run: RunRecord) -> list[Block]:
    """What each numbered mark stands for; nothing where the numbers never ran away."""
    found = run.summary.rescues
    if not found:
        return []
    rows = tuple(
        (str(n), f"{r.bad_step:,}", r.found, f"{r.step:,}", _change(r))
        for n, r in enumerate(found, 1)
    )
    columns = (
        Column("mark"), Column("went wrong in update"), Column("found", False),
        Column("back to the state after"), Column("then", False),
    )  # fmt: skip
    return [
        Paragraph(
            "The numbered lines are where training went back to after the numbers ran away; what "
            "was lost by it is not drawn. `descend explain rescue` says how that goes."
        ),
        Table("Where the numbers ran away, and what was done", columns, rows),
    ]


def _change(rescue: Rescue) -> str:
    if rescue.change == "skip":
        return f"{rescue.value:,.0f} batches left out"
    if rescue.change == "clip":
        return f"gradients clipped at {significant(rescue.value)}"
    return f"the rate times {significant(rescue.value)}"

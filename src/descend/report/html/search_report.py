"""The report of a search: what is best, whether it is sure, what decided, every trial."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from descend.experiments.search.search_result import SearchResult, SearchTrial
from descend.experiments.search.space import RangeParam
from descend.report.html.charts import Axis, Curve, bars, curves
from descend.report.html.comparison_report import differences, learning_curves
from descend.report.html.experiment_sections import MADE_BY, repeat_section
from descend.report.html.report_page import (
    Command,
    Fact,
    Facts,
    Figure,
    Paragraph,
    ReportBlock,
    ReportPage,
    ReportTable,
    Section,
    TableColumn,
    number_columns,
    word_columns,
)
from descend.report.text.search_summary import MAX_LISTED_TRIALS, base_of, search_head, search_row
from descend.units import format_count, format_duration

UNIT = "bits per byte"


def search_report(result: SearchResult, folder: Path) -> ReportPage:
    """Return all that a search found, its confirmation with intervals, and what to type."""
    confirmed = result.confirmation
    sections = [_best(result)]
    if confirmed is not None:
        section = differences(confirmed)
        said = Paragraph(
            "Selecting the best of many trials is biased. So base and best were trained again "
            f"with seeds {', '.join(map(str, confirmed.seeds))}, which had no part in the choice."
        )
        sections.append(Section("confirmed", "Is it sure?", (said, *section.blocks)))
        sections += [s for s in (learning_curves(confirmed),) if s]
    sections += [
        _decided(result),
        _trials(result),
        *(s for s in (repeat_section(result.command),) if s),
    ]
    stopped = sum(t.state == "stopped" for t in result.trials)
    each = (
        "its own epochs"
        if result.budget is None
        else f"{result.budget:,.10g} {result.budget_unit} each"
    )
    return ReportPage(
        title=folder.resolve().name,
        subtitle=f"{result.corpus} · search over {', '.join(s.key for s in result.space)}",
        lead=(result.sentence,),
        facts=Facts((
            Fact("lowest validation loss", f"{result.ranking[0].bits_per_byte or 0.0:.3f}",
                 f"{UNIT}, as it was chosen"),
            Fact("tried", f"{len(result.trials)}", f"configurations, {stopped} ended early"),
            Fact("made equal", result.budget_unit, each),
            Fact("time", format_duration(60 * result.minutes_used), "for the trials"),
        )),
        sections=tuple(sections),
        made_by=MADE_BY,
    )  # fmt: skip


def _best(result: SearchResult) -> Section:
    keys = [span.key for span in result.space]
    best_trials = result.ranking[:MAX_LISTED_TRIALS]
    return Section("best", "The best", (
        ReportTable(f"The best {len(best_trials)}, by their result in the search",
              tuple(map(TableColumn, search_head("rank", result))),
              tuple(search_row(n, t, keys) for n, t in enumerate(best_trials, 1)), frozenset({0})),
        Paragraph("To train the best one:"),
        Command(result.train_command),
    ))  # fmt: skip


@dataclass(frozen=True)
class _Reference:
    """What the gains of the trials are counted from."""

    name: str
    bits_per_byte: float

    def gain(self, tried: SearchTrial) -> float:
        """Return bits per byte below the reference: positive is better."""
        return self.bits_per_byte - (tried.bits_per_byte or 0.0)


def _reference(result: SearchResult) -> _Reference:
    """Return the base, or the first finished trial where the base is none of them."""
    base = base_of(result)
    if base is not None and base.state == "finished" and base.bits_per_byte is not None:
        return _Reference("the base", base.bits_per_byte)
    first = _finished(result)[0]
    return _Reference(f"trial {first.number + 1}", first.bits_per_byte or 0.0)


def _finished(result: SearchResult) -> list[SearchTrial]:
    return [t for t in result.trials if t.state == "finished" and t.bits_per_byte is not None]


def _decided(result: SearchResult) -> Section:
    """Return the gain over each key, and what PED-ANOVA makes of it."""
    reference, finished = _reference(result), _finished(result)
    axis = Axis(f"gain, {UNIT}")
    choices = {}
    for span in result.space:
        if isinstance(span, RangeParam):
            line = Curve(
                "a trial",
                [t.values[span.key] for t in finished],
                [reference.gain(t) for t in finished],
                "@accent",
                "dots",
            )
            choices[span.key] = curves([line], Axis(span.key, log=span.log), axis)
        else:
            gains = {
                str(value): max(reference.gain(t) for t in finished if t.values[span.key] == value)
                for value in span.values
                if any(t.values[span.key] == value for t in finished)
            }
            choices[span.key] = bars(list(gains), list(gains.values()), axis, name_axis=span.key)
    blocks: list[ReportBlock] = [
        Figure(
            f"Gain over {reference.name} by each key, {UNIT}: higher is better. Finished trials, "
            "or the best of each value",
            "The numbers are in the table of all trials.",
            next(iter(choices.values())), choices, height=260,
        ),
    ]  # fmt: skip
    if result.importance:
        blocks += [
            Paragraph(
                "How much each key matters for being among the best quarter of the trials "
                "(PED-ANOVA). With so few trials this is rough."
            ),
            ReportTable(
                "Importance of each key",
                (word_columns("key") + number_columns("share")),
                tuple((w.key, f"{w.fraction:.0%}") for w in result.importance),
            ),
        ]
    return Section("decided", "What decided", tuple(blocks))


def _trials(result: SearchResult) -> Section:
    """Return every trial in the order it was chosen in."""
    keys = [span.key for span in result.space]
    reference, finished = _reference(result), _finished(result)
    gains = [reference.gain(t) for t in finished]
    numbers = [float(t.number + 1) for t in finished]
    lines = [Curve("a trial", numbers, gains, "@calm", "dots"),
             Curve("best so far", numbers, list(accumulate(gains, max)), "@accent")]  # fmt: skip
    rows = tuple(
        (*search_row(t.number + 1, t, keys),
         "diverged" if t.diverged_step is not None else t.failure_reason or t.state)
        for t in result.trials
    )  # fmt: skip
    return Section("trials", "Every trial", (
        Figure(
            f"Gain of each finished trial over {reference.name}, {UNIT}: higher is better",
            f"The best of {format_count(len(gains), 'trial')} is {max(gains):+.3f} {UNIT} better.",
            curves(lines, Axis("trial", whole=True), Axis(f"gain, {UNIT}")), height=260,
        ),
        ReportTable("All trials. Pruned trials show their last evaluation",
              (*map(TableColumn, search_head("trial", result)), TableColumn("result", False)),
              rows, frozenset(n for n, t in enumerate(result.trials)
                              if t.number == result.best_number), folded=True),
    ))  # fmt: skip

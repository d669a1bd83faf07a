"""The report of a search: what is best, whether it is sure, what decided, every trial."""

from __future__ import annotations

from pathlib import Path

from descend.experiments.search.result import SearchResult
from descend.experiments.search.space import RangeParam
from descend.report.html.charts import Axis, Curve, bars, curves
from descend.report.html.comparison_report import differences, learning_curves
from descend.report.html.experiment_sections import MADE_BY, repeat_section
from descend.report.html.page import (
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
)
from descend.report.text.search import MAX_LISTED_TRIALS, NUMBERS, search_row
from descend.units import format_duration

UNIT = "bits per byte"


def search_report(result: SearchResult, folder: Path) -> ReportPage:
    """All that a search found, its confirmation with intervals, and what to type."""
    confirmed = result.confirmation
    sections = [_best(result)]
    if confirmed is not None:
        section = differences(confirmed)
        said = Paragraph(
            "The best of many is best by luck, too. So base and best were trained again, with "
            f"seeds {', '.join(map(str, confirmed.seeds))}, which had no part in the choice."
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
            Fact("lowest held-out loss", f"{result.ranking[0].bits_per_byte or 0.0:.3f}",
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
        ReportTable(f"The best {len(best_trials)}, as they came out in the search",
              tuple(TableColumn(name) for name in ("rank", *keys, *NUMBERS)),
              tuple(search_row(n, t, keys) for n, t in enumerate(best_trials, 1)), frozenset({0})),
        Paragraph("To train the best one:"),
        Command(result.train_command),
    ))  # fmt: skip


def _decided(result: SearchResult) -> Section:
    """The loss over each key, and what PED-ANOVA makes of it."""
    scored_trials = [(t, t.bits_per_byte) for t in result.trials
            if t.state == "finished" and t.bits_per_byte is not None]  # fmt: skip
    choices = {}
    for span in result.space:
        if isinstance(span, RangeParam):
            line = Curve(
                "a trial",
                [t.values[span.key] for t, _ in scored_trials],
                [b for _, b in scored_trials],
                "@accent",
                "dots",
            )
            choices[span.key] = curves([line], Axis(span.key, log=span.log), Axis(UNIT))
        else:
            min_bits_by_value = {
                str(v): min((b for t, b in scored_trials if t.values[span.key] == v), default=None)
                for v in span.values
            }
            known = {name: b for name, b in min_bits_by_value.items() if b is not None}
            choices[span.key] = bars(list(known), list(known.values()), Axis(UNIT),
                                     name_axis=span.key)  # fmt: skip
    blocks: list[ReportBlock] = [
        Figure(f"Held-out loss by each key, {UNIT}: finished trials, or the best of each value",
               "The numbers stand in the table of all trials.",
               next(iter(choices.values())), choices),
    ]  # fmt: skip
    if result.importance:
        blocks += [
            Paragraph(
                "How much each key decided about being among the best quarter of the trials "
                "(PED-ANOVA). Of so few trials it is rough."
            ),
            ReportTable(
                "The part of each key in it",
                (TableColumn("key", False), TableColumn("share")),
                tuple((w.key, f"{w.fraction:.0%}") for w in result.importance),
            ),
        ]
    return Section("decided", "What decided", tuple(blocks))


def _trials(result: SearchResult) -> Section:
    """Every trial in the order it was chosen in."""
    keys = [span.key for span in result.space]
    finished = [t for t in result.trials if t.state == "finished"]
    losses = [t.bits_per_byte or 0.0 for t in finished]
    numbers = [float(t.number + 1) for t in finished]
    lowest = [min(losses[: n + 1]) for n in range(len(losses))]
    lines = [Curve("a trial", numbers, losses, "@calm", "dots"),
             Curve("lowest so far", numbers, lowest, "@accent")]  # fmt: skip
    rows = tuple(
        (*search_row(t.number + 1, t, keys),
         "went astray" if t.diverged_step is not None else t.failure_reason or t.state)
        for t in result.trials
    )  # fmt: skip
    return Section("trials", "Every trial", (
        Figure(f"Held-out loss of the finished trials in the order they were made, {UNIT}",
               f"From {losses[0]:.3f} to {lowest[-1]:.3f} {UNIT} in {len(losses)} trials.",
               curves(lines, Axis("trial", whole=True), Axis(UNIT))),
        ReportTable("All trials; of those ended early the numbers of their last judgment",
              (*map(TableColumn, ("trial", *keys, *NUMBERS)), TableColumn("", False)),
              rows, frozenset(n for n, t in enumerate(result.trials)
                              if t.number == result.best_number), folded=True),
    ))  # fmt: skip

"""The report of a search: what is best, whether it is sure, what decided, every trial."""

from __future__ import annotations

from pathlib import Path

from descend.lab.searched import SearchResult
from descend.lab.space import RangeParam
from descend.report.experiment_report import MADE_BY, repeat_section, differences, learning_curves
from descend.report.figures import Axis, Curve, bars, curves
from descend.report.page import (
    ReportBlock,
    TableColumn,
    Command,
    Fact,
    Facts,
    Figure,
    ReportPage,
    Paragraph,
    Section,
    ReportTable,
)
from descend.report.searches import NUMBERS, SHOWN, search_row
from descend.units import format_duration

UNIT = "bits per byte"


def search_report(found: SearchResult, folder: Path) -> ReportPage:
    """All that a search found, its confirmation with intervals, and what to type."""
    confirmed = found.confirmation
    sections = [_best(found)]
    if confirmed is not None:
        section = differences(confirmed)
        said = Paragraph(
            "The best of many is best by luck, too. So base and best were trained again, with "
            f"seeds {', '.join(map(str, confirmed.seeds))}, which had no part in the choice."
        )
        sections.append(Section("confirmed", "Is it sure?", (said, *section.blocks)))
        sections += [s for s in (learning_curves(confirmed),) if s]
    sections += [_decided(found), _trials(found), *(s for s in (repeat_section(found.command),) if s)]
    stopped = sum(t.state == "stopped" for t in found.trials)
    each = "its own epochs" if found.budget is None else f"{found.budget:,.10g} {found.match} each"
    return ReportPage(
        title=folder.resolve().name,
        subtitle=f"{found.corpus} · search over {', '.join(s.key for s in found.space)}",
        lead=(found.sentence,),
        facts=Facts((
            Fact("lowest held-out loss", f"{found.ranking[0].bits_per_byte or 0.0:.3f}",
                 f"{UNIT}, as it was chosen"),
            Fact("tried", f"{len(found.trials)}", f"configurations, {stopped} ended early"),
            Fact("made equal", found.match, each),
            Fact("time", format_duration(60 * found.minutes_used), "for the trials"),
        )),
        sections=tuple(sections),
        made_by=MADE_BY,
    )  # fmt: skip


def _best(found: SearchResult) -> Section:
    keys = [span.key for span in found.space]
    shown = found.ranking[:SHOWN]
    return Section("best", "The best", (
        ReportTable(f"The best {len(shown)}, as they came out in the search",
              tuple(TableColumn(name) for name in ("rank", *keys, *NUMBERS)),
              tuple(search_row(n, t, keys) for n, t in enumerate(shown, 1)), frozenset({0})),
        Paragraph("To train the best one:"),
        Command(found.train_command),
    ))  # fmt: skip


def _decided(found: SearchResult) -> Section:
    """The loss over each key, and what PED-ANOVA makes of it."""
    told = [(t, t.bits_per_byte) for t in found.trials
            if t.state == "finished" and t.bits_per_byte is not None]  # fmt: skip
    choices = {}
    for span in found.space:
        if isinstance(span, RangeParam):
            line = Curve("a trial", [t.values[span.key] for t, _ in told], [b for _, b in told],
                         "@accent", "dots")  # fmt: skip
            choices[span.key] = curves([line], Axis(span.key, log=span.log), Axis(UNIT))
        else:
            least = {
                str(v): min((b for t, b in told if t.values[span.key] == v), default=None)
                for v in span.values
            }
            known = {name: b for name, b in least.items() if b is not None}
            choices[span.key] = bars(list(known), list(known.values()), Axis(UNIT),
                                     name_axis=span.key)  # fmt: skip
    blocks: list[ReportBlock] = [
        Figure(f"Held-out loss by each key, {UNIT}: finished trials, or the best of each value",
               "The numbers stand in the table of all trials.",
               next(iter(choices.values())), choices),
    ]  # fmt: skip
    if found.importance:
        blocks += [
            Paragraph(
                "How much each key decided about being among the best quarter of the trials "
                "(PED-ANOVA). Of so few trials it is rough."
            ),
            ReportTable("The part of each key in it", (TableColumn("key", False), TableColumn("share")),
                  tuple((w.key, f"{w.share:.0%}") for w in found.importance)),
        ]  # fmt: skip
    return Section("decided", "What decided", tuple(blocks))


def _trials(found: SearchResult) -> Section:
    """Every trial in the order it was chosen in."""
    keys = [span.key for span in found.space]
    finished = [t for t in found.trials if t.state == "finished"]
    losses = [t.bits_per_byte or 0.0 for t in finished]
    numbers = [float(t.number + 1) for t in finished]
    lowest = [min(losses[: n + 1]) for n in range(len(losses))]
    lines = [Curve("a trial", numbers, losses, "@calm", "dots"),
             Curve("lowest so far", numbers, lowest, "@accent")]  # fmt: skip
    rows = tuple(
        (*search_row(t.number + 1, t, keys),
         "went astray" if t.diverged_at is not None else t.failure_reason or t.state)
        for t in found.trials
    )  # fmt: skip
    return Section("trials", "Every trial", (
        Figure(f"Held-out loss of the finished trials in the order they were made, {UNIT}",
               f"From {losses[0]:.3f} to {lowest[-1]:.3f} {UNIT} in {len(losses)} trials.",
               curves(lines, Axis("trial", whole=True), Axis(UNIT))),
        ReportTable("All trials; of those ended early the numbers of their last judgment",
              (*map(TableColumn, ("trial", *keys, *NUMBERS)), TableColumn("", False)),
              rows, frozenset(n for n, t in enumerate(found.trials)
                              if t.number == found.best_number), folded=True),
    ))  # fmt: skip

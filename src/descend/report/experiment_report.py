"""The report of an experiment: configurations compared, or a change attributed to its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from descend.config import RunConfig
from descend.handbook.facts import shown
from descend.lab.attribute import Attribution
from descend.lab.comparison import ComparedArm, Comparison
from descend.lab.measured import Measured
from descend.lab.sources import DECIDES_NO_LOSS
from descend.report.experiments import chance, how_found, pairs_method
from descend.report.figures import SERIES, Axis, Curve, Span, curves, intervals
from descend.report.page import (
    Block,
    Column,
    Command,
    Fact,
    Facts,
    Figure,
    Page,
    Paragraph,
    Section,
    Table,
)
from descend.units import counted, duration, points, size
from descend.version import __version__

MADE_BY = f"Report of an experiment · descend {__version__}"


def comparison_report(found: Comparison, folder: Path) -> Page:
    """Arms side by side: differences with intervals, curves, every number as a table."""
    best = min(found.arms, key=lambda a: _loss(a, found))
    return Page(
        title=folder.resolve().name,
        subtitle=f"{found.corpus} · {len(found.arms)} configurations, "
        f"{counted(len(found.seeds), 'seed')} each",
        lead=(found.sentence,),
        facts=Facts((
            Fact("lowest held-out loss", f"{_loss(best, found):.3f}", f"{found.unit}: {best.name}"),
            Fact("made equal", found.match, _budget(found)),
            Fact("time of training", duration(sum(s.seconds for a in found.arms for s in a.seeds)),
                 "over all runs"),
        )),
        sections=tuple(s for s in (
            differences(found), learning_curves(found), _settings(found), again(found.command)
        ) if s),
        made_by=MADE_BY,
    )  # fmt: skip


def again(command: str) -> Section | None:
    """What repeats an experiment; None where it was not written down."""
    if not command:
        return None
    return Section("again", "Do it again", (
        Paragraph("As it was typed or called, on the same text. Runs that are still in the cache "
                  "cost nothing."),
        Command(command),
    ))  # fmt: skip


def _budget(found: Comparison) -> str:
    return "each its own" if found.budget is None else f"{found.budget:,.6g} for each run"


def _loss(arm: ComparedArm, found: Comparison) -> float:
    return arm.bits_per_byte if found.unit == "bits per byte" else arm.validation_loss


def differences(found: Comparison) -> Section:
    """Each arm against the first, in a figure and as rows."""
    first = found.arms[0].name
    others = [(a, a.difference) for a in found.arms if a.difference is not None]
    spans = [_span(a.name, d) for a, d in others]
    told = "; ".join(f"{s.name} {s.value:+.3f}" for s in spans)
    blocks: list[Block] = [
        Paragraph(
            f"Each is set against {first}, seed by seed: same initial weights where the shape "
            "allows, same order of the text, same held-out text. Left of zero is better."
        ),
        Figure(
            f"Difference in held-out loss to {first}, {found.unit}, with 95 % intervals",
            f"Differences to {first}: {told}.",
            intervals(spans, Axis(found.unit)), height=70 + 34 * max(len(spans), 1),
        ),
        _arms(found),
        _sizes(found),
        _seeds(found),
    ]  # fmt: skip
    return Section("difference", "What differs", tuple(blocks))


def _span(name: str, found: Measured) -> Span:
    low, high = found.ci95 or (found.value, found.value)
    return Span(name, found.value, low, high)


def _arms(found: Comparison) -> Table:
    columns = (
        Column("configuration", False), Column("held-out loss"), Column("difference (95 %)"),
        Column("verdict", False), Column("accuracy"), Column("bits per byte"), Column("time"),
    )  # fmt: skip
    rows = tuple(
        (
            a.name, f"{a.validation_loss:.3f}", with_interval(a.difference), a.verdict,
            f"{a.accuracy:.1%}", f"{a.bits_per_byte:.3f}", duration(a.seconds),
        )
        for a in found.arms
    )  # fmt: skip
    strong = frozenset(n for n, a in enumerate(found.arms) if a.verdict == "better")
    return Table("Each configuration, as means over its seeds", columns, rows, strong)


def with_interval(found: Measured | None) -> str:
    """`-0.236 (-0.302 to -0.170)`; a dash for what the others are held against."""
    if found is None:
        return "–"
    return f"{found.value:+.3f}" + (f" ({_interval(found)})" if found.ci95 else "")


def _sizes(found: Comparison) -> Table:
    columns = (Column("configuration", False), Column("parameters"), Column("memory"),
               Column("vocabulary"), Column("updates"), Column("tokens"))  # fmt: skip
    rows = tuple(
        (a.name, f"{a.parameters:,}", size(a.memory), f"{a.vocab_size:,}", f"{a.steps:,}",
         f"{a.tokens:,}")
        for a in found.arms
    )  # fmt: skip
    return Table("How large each is, and what it was given", columns, rows, folded=True)


def _interval(found: Measured | None) -> str:
    return f"{found.ci95[0]:+.3f} to {found.ci95[1]:+.3f}" if found and found.ci95 else "–"


def _seeds(found: Comparison) -> Table:
    columns = (Column("configuration", False), Column("seed"), Column("held-out loss"),
               Column("accuracy"), Column("bits per byte"), Column("time"),
               Column("went astray at update"))  # fmt: skip
    rows = tuple(
        (a.name, str(s.seed), f"{s.validation_loss:.3f}", f"{s.accuracy:.1%}",
         f"{s.bits_per_byte:.3f}", duration(s.seconds),
         "–" if s.diverged_at is None else f"{s.diverged_at:,}")
        for a in found.arms for s in a.seeds
    )  # fmt: skip
    return Table("Every run", columns, rows, folded=True)


def learning_curves(found: Comparison) -> Section | None:
    """Held-out loss along the runs, where they were judged more than once."""
    bits = found.unit == "bits per byte"
    lines = []
    for arm, colour in zip(found.arms, SERIES * len(found.arms), strict=False):
        points = [s.curve for s in arm.seeds if s.curve]
        length = min((len(p) for p in points), default=0)
        if length < 2:
            continue
        means = [
            sum(p[n].bits_per_byte if bits else p[n].validation_loss for p in points) / len(points)
            for n in range(length)
        ]
        x = [float(p.tokens) for p in points[0][:length]]
        lines.append(Curve(arm.name, x, means, colour, "points"))
    if not lines:
        return None
    told = "; ".join(f"{c.name} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for c in lines)
    return Section("curves", "How each learned", (
        Figure(f"Held-out loss, {found.unit}, over tokens trained on (means over the seeds)",
               f"{told}.", curves(lines, Axis("tokens"), Axis(found.unit)), height=360),
    ))  # fmt: skip


def _settings(found: Comparison) -> Section:
    """What the arms do not share, and what they share that is no default."""
    keys = [k for k in RunConfig.model_fields if k not in DECIDES_NO_LOSS]
    values = {k: [a.config.get(k) for a in found.arms] for k in keys}
    differing = [k for k in keys if any(v != values[k][0] for v in values[k])]
    shared = [
        (k, shown(values[k][0]), shown(RunConfig.model_fields[k].default)) for k in keys
        if k not in differing and values[k][0] != RunConfig.model_fields[k].default
    ]  # fmt: skip
    blocks: list[Block] = [
        Table("The settings that differ",
              (Column("configuration", False), *(Column(k, False) for k in differing)),
              tuple((a.name, *(shown(a.config.get(k)) for k in differing)) for a in found.arms)),
    ]  # fmt: skip
    if shared:
        blocks.append(Table(
            "What all share that is not the default",
            (Column("setting", False), Column("value", False), Column("default", False)),
            tuple(shared),
        ))  # fmt: skip
    return Section("settings", "Settings", tuple(blocks))


def attribution_report(found: Attribution, folder: Path) -> Page:
    """Shares of the changes with intervals, interactions, every run."""
    return Page(
        title=f"{found.a} → {found.b}",
        subtitle=f"{found.corpus} · {folder.resolve().name}",
        lead=(found.sentence,),
        facts=Facts((
            Fact("all changes together", f"{found.total.value:+.3f}", found.unit),
            Fact("accuracy", points(found.total_accuracy.value), "of held-out tokens"),
            Fact("training time", more_time(found.total_seconds), "for each run"),
            Fact("runs", f"{len(found.runs):,}",
                 f"{counted(len(found.seeds), 'seed')}, {found.method}"),
        )),
        sections=tuple(s for s in (
            _shares(found), *_interactions(found), _runs(found), again(found.command)
        ) if s),
        made_by=MADE_BY,
    )  # fmt: skip


def more_time(found: Measured) -> str:
    """`+12 s`."""
    return f"{'+' if found.value >= 0 else '-'}{duration(abs(found.value))}"


def _shares(found: Attribution) -> Section:
    spans = [_span(s.change, Measured(s.value, s.ci95)) for s in found.shares]
    told = "; ".join(f"{s.name} {s.value:+.3f}" for s in spans)
    columns = (
        Column("change", False), Column("share of the loss"), Column("95 %"), Column("p (Holm)"),
        Column("alone"), Column("made last"), Column("accuracy"), Column("time"),
    )  # fmt: skip
    rows = [
        (s.change, f"{s.value:+.3f}", _interval(Measured(s.value, s.ci95)), chance(s.p),
         plain(s.alone), plain(s.last), points(s.accuracy.value), more_time(s.seconds))
        for s in found.shares
    ]  # fmt: skip
    rows.append((
        "all of it", f"{found.total.value:+.3f}", _interval(found.total), "", "", "",
        points(found.total_accuracy.value), more_time(found.total_seconds),
    ))  # fmt: skip
    return Section("shares", "Which change brought how much", (
        Paragraph(
            "What a change brings depends on which others are made already. Its share is what it "
            "brings on average over all orders of making them (the Shapley value): the shares add "
            "up to the whole. Left of zero the loss falls, which is better. Each interval speaks "
            "for its own change; p, corrected for their number, for what is said of all of them."
        ),
        Figure(f"Share of each change in the held-out loss, {found.unit}, with 95 % intervals",
               f"Shares: {told}.", intervals(spans, Axis(found.unit)),
               height=70 + 34 * len(spans)),
        Table("Each change", columns, tuple(rows), frozenset({len(rows) - 1})),
    ))  # fmt: skip


def _runs(found: Attribution) -> Section:
    """How it was found: every run, and what all of them share."""
    names = {s.key: s.change for s in found.shares}
    columns = (Column("seed"), Column("changes made", False), Column("held-out loss"),
               Column("bits per byte"), Column("accuracy"), Column("updates"),
               Column("time"))  # fmt: skip
    rows = tuple(
        (
            str(r.seed), "; ".join(names.get(key, key) for key in r.changed) or f"none: {found.a}",
            f"{r.validation_loss:.3f}" + (" (went astray)" if r.diverged else ""),
            f"{r.bits_per_byte:.3f}", f"{r.accuracy:.1%}", f"{r.steps:,}", duration(r.seconds),
        )
        for r in found.runs
    )  # fmt: skip
    blocks: list[Block] = [
        Paragraph(f"{how_found(found)}. Runs of one seed share initial weights where the shape "
                  "allows, the order of the text, and the held-out text."),
        Table("Every run", columns, rows, folded=True),
    ]  # fmt: skip
    base = tuple(
        (key, shown(found.base.get(key)), shown(field.default))
        for key, field in RunConfig.model_fields.items()
        if key not in DECIDES_NO_LOSS and found.base.get(key, field.default) != field.default
    )
    if base:
        blocks.append(Table(
            f"The settings of {found.a} that are not the default",
            (Column("setting", False), Column("value", False), Column("default", False)), base,
            folded=True,
        ))  # fmt: skip
    return Section("runs", "How it was found", tuple(blocks))


def _interactions(found: Attribution) -> Sequence[Section]:
    if not found.interactions:
        return ()
    rows = tuple(
        (*i.keys, f"{i.value:+.3f}", f"{i.sets}" if i.sets else "–",
         f"{i.span[0]:+.3f} to {i.span[1]:+.3f}" if i.span else "–")
        for i in found.interactions
    )  # fmt: skip
    columns = (Column("one", False), Column("other", False), Column(found.unit),
               Column("sets of others"), Column("least to most"))  # fmt: skip
    return (Section("together", "What two changes do together", (
        Paragraph(
            "Beyond what each brings alone: below zero they help each other. In "
            f"{pairs_method(found)}; what is seen beside few sets may be chance."
        ),
        Table("Pairs of changes, the strongest first", columns, rows),
    )),)  # fmt: skip


def plain(value: float | None) -> str:
    """`-0.236`; a dash where it is not known."""
    return "–" if value is None else f"{value:+.3f}"

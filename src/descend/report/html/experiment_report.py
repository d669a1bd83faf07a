"""The report of an experiment: configurations compared, or a change attributed to its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from descend.config import RunConfig
from descend.experiments.attribute.runner import Attribution
from descend.experiments.compare.result import ArmResult, Comparison
from descend.experiments.estimate import Estimate
from descend.experiments.named_config import KEYS_WITHOUT_EFFECT_ON_LOSS
from descend.handbook.setting_facts import format_setting
from descend.report.html.charts import SERIES, Axis, Curve, IntervalBar, curves, intervals
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
from descend.report.text.experiments import describe_method, format_p_value, pairs_method
from descend.units import format_bytes, format_count, format_duration, format_percentage_points
from descend.version import __version__

MADE_BY = f"Report of an experiment · descend {__version__}"


def comparison_report(comparison: Comparison, folder: Path) -> ReportPage:
    """Arms side by side: differences with intervals, curves, every number as a table."""
    best = min(comparison.arms, key=lambda a: _loss(a, comparison))
    return ReportPage(
        title=folder.resolve().name,
        subtitle=(
            f"{comparison.corpus} · {len(comparison.arms)} configurations, "
            f"{format_count(len(comparison.seeds), 'seed')} each"
        ),
        lead=(comparison.sentence,),
        facts=Facts(
            (
                Fact(
                    "lowest held-out loss",
                    f"{_loss(best, comparison):.3f}",
                    f"{comparison.unit}: {best.name}",
                ),
                Fact("made equal", comparison.budget_unit, _budget(comparison)),
                Fact(
                    "time of training",
                    format_duration(sum(s.seconds for a in comparison.arms for s in a.seeds)),
                    "over all runs",
                ),
            )
        ),
        sections=tuple(
            s
            for s in (
                differences(comparison),
                learning_curves(comparison),
                _config_section(comparison),
                repeat_section(comparison.command),
            )
            if s
        ),
        made_by=MADE_BY,
    )


def repeat_section(command: str) -> Section | None:
    """What repeats an experiment; None where it was not written down."""
    if not command:
        return None
    return Section(
        "again",
        "Do it again",
        (
            Paragraph(
                "As it was typed or called, on the same text. Runs that are still in the cache "
                "cost nothing."
            ),
            Command(command),
        ),
    )


def _budget(comparison: Comparison) -> str:
    return "each its own" if comparison.budget is None else f"{comparison.budget:,.6g} for each run"


def _loss(arm: ArmResult, comparison: Comparison) -> float:
    return arm.bits_per_byte if comparison.unit == "bits per byte" else arm.validation_loss


def differences(comparison: Comparison) -> Section:
    """Each arm against the first, in a figure and as rows."""
    first = comparison.arms[0].name
    others = [(a, a.difference) for a in comparison.arms if a.difference is not None]
    spans = [_span(a.name, d) for a, d in others]
    description = "; ".join(f"{s.name} {s.value:+.3f}" for s in spans)
    blocks: list[ReportBlock] = [
        Paragraph(
            f"Each is set against {first}, seed by seed: same initial weights where the shape "
            "allows, same order of the text, same held-out text. Left of zero is better."
        ),
        Figure(
            f"Difference in held-out loss to {first}, {comparison.unit}, with 95 % intervals",
            f"Differences to {first}: {description}.",
            intervals(spans, Axis(comparison.unit)), height=70 + 34 * max(len(spans), 1),
        ),
        _arms(comparison),
        _sizes(comparison),
        _seeds(comparison),
    ]  # fmt: skip
    return Section("difference", "What differs", tuple(blocks))


def _span(name: str, estimate: Estimate) -> IntervalBar:
    low, high = estimate.ci95 or (estimate.value, estimate.value)
    return IntervalBar(name, estimate.value, low, high)


def _arms(comparison: Comparison) -> ReportTable:
    columns = (
        TableColumn("configuration", False),
        TableColumn("held-out loss"),
        TableColumn("difference (95 %)"),
        TableColumn("verdict", False),
        TableColumn("accuracy"),
        TableColumn("bits per byte"),
        TableColumn("time"),
    )
    rows = tuple(
        (
            a.name,
            f"{a.validation_loss:.3f}",
            with_interval(a.difference),
            a.verdict,
            f"{a.accuracy:.1%}",
            f"{a.bits_per_byte:.3f}",
            format_duration(a.seconds),
        )
        for a in comparison.arms
    )
    strong = frozenset(n for n, a in enumerate(comparison.arms) if a.verdict == "better")
    return ReportTable("Each configuration, as means over its seeds", columns, rows, strong)


def with_interval(estimate: Estimate | None) -> str:
    """`-0.236 (-0.302 to -0.170)`; a dash for what the others are held against."""
    if estimate is None:
        return "–"
    return f"{estimate.value:+.3f}" + (f" ({_interval(estimate)})" if estimate.ci95 else "")


def _sizes(comparison: Comparison) -> ReportTable:
    columns = (
        TableColumn("configuration", False),
        TableColumn("parameters"),
        TableColumn("memory"),
        TableColumn("vocabulary"),
        TableColumn("updates"),
        TableColumn("tokens"),
    )
    rows = tuple(
        (
            a.name,
            f"{a.parameters:,}",
            format_bytes(a.memory),
            f"{a.vocab_size:,}",
            f"{a.steps:,}",
            f"{a.tokens:,}",
        )
        for a in comparison.arms
    )
    return ReportTable("How large each is, and what it was given", columns, rows, folded=True)


def _interval(estimate: Estimate | None) -> str:
    return (
        f"{estimate.ci95[0]:+.3f} to {estimate.ci95[1]:+.3f}" if estimate and estimate.ci95 else "–"
    )


def _seeds(comparison: Comparison) -> ReportTable:
    columns = (
        TableColumn("configuration", False),
        TableColumn("seed"),
        TableColumn("held-out loss"),
        TableColumn("accuracy"),
        TableColumn("bits per byte"),
        TableColumn("time"),
        TableColumn("went astray at update"),
    )
    rows = tuple(
        (a.name, str(s.seed), f"{s.validation_loss:.3f}", f"{s.accuracy:.1%}",
         f"{s.bits_per_byte:.3f}", format_duration(s.seconds),
         "–" if s.diverged_step is None else f"{s.diverged_step:,}")
        for a in comparison.arms for s in a.seeds
    )  # fmt: skip
    return ReportTable("Every run", columns, rows, folded=True)


def learning_curves(comparison: Comparison) -> Section | None:
    """Held-out loss along the runs, where they were judged more than once."""
    bits = comparison.unit == "bits per byte"
    lines = []
    for arm, colour in zip(comparison.arms, SERIES * len(comparison.arms), strict=False):
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
    description = "; ".join(f"{c.name} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for c in lines)
    return Section("curves", "How each learned", (
        Figure(f"Held-out loss, {comparison.unit}, over tokens trained on (means over the seeds)",
               f"{description}.", curves(lines, Axis("tokens"), Axis(comparison.unit)), height=360),
    ))  # fmt: skip


def _config_section(comparison: Comparison) -> Section:
    """What the arms do not share, and what they share that is no default."""
    keys = [k for k in RunConfig.model_fields if k not in KEYS_WITHOUT_EFFECT_ON_LOSS]
    values = {k: [a.config.get(k) for a in comparison.arms] for k in keys}
    differing = [k for k in keys if any(v != values[k][0] for v in values[k])]
    shared = [
        (k, format_setting(values[k][0]), format_setting(RunConfig.model_fields[k].default))
        for k in keys
        if k not in differing and values[k][0] != RunConfig.model_fields[k].default
    ]
    blocks: list[ReportBlock] = [
        ReportTable(
            "The settings that differ",
            (TableColumn("configuration", False), *(TableColumn(k, False) for k in differing)),
            tuple(
                (a.name, *(format_setting(a.config.get(k)) for k in differing))
                for a in comparison.arms
            ),
        ),
    ]
    if shared:
        blocks.append(
            ReportTable(
                "What all share that is not the default",
                (
                    TableColumn("setting", False),
                    TableColumn("value", False),
                    TableColumn("default", False),
                ),
                tuple(shared),
            )
        )
    return Section("settings", "Settings", tuple(blocks))


def attribution_report(attribution: Attribution, folder: Path) -> ReportPage:
    """Shares of the changes with intervals, interactions, every run."""
    return ReportPage(
        title=f"{attribution.a} → {attribution.b}",
        subtitle=f"{attribution.corpus} · {folder.resolve().name}",
        lead=(attribution.sentence,),
        facts=Facts(
            (
                Fact(
                    "all changes together",
                    f"{attribution.total_difference.value:+.3f}",
                    attribution.unit,
                ),
                Fact(
                    "accuracy",
                    format_percentage_points(attribution.total_accuracy.value),
                    "of held-out tokens",
                ),
                Fact(
                    "training time",
                    format_time_difference(attribution.total_seconds),
                    "for each run",
                ),
                Fact(
                    "runs",
                    f"{len(attribution.runs):,}",
                    f"{format_count(len(attribution.seeds), 'seed')}, {attribution.method}",
                ),
            )
        ),
        sections=tuple(
            s
            for s in (
                _contributions_section(attribution),
                *_interactions(attribution),
                _runs(attribution),
                repeat_section(attribution.command),
            )
            if s
        ),
        made_by=MADE_BY,
    )


def format_time_difference(estimate: Estimate) -> str:
    """`+12 s`."""
    return f"{'+' if estimate.value >= 0 else '-'}{format_duration(abs(estimate.value))}"


def _contributions_section(attribution: Attribution) -> Section:
    spans = [_span(s.change, Estimate(s.value, s.ci95)) for s in attribution.contributions]
    description = "; ".join(f"{s.name} {s.value:+.3f}" for s in spans)
    columns = (
        TableColumn("change", False),
        TableColumn("share of the loss"),
        TableColumn("95 %"),
        TableColumn("p (Holm)"),
        TableColumn("alone"),
        TableColumn("made last"),
        TableColumn("accuracy"),
        TableColumn("time"),
    )
    rows = [
        (
            s.change,
            f"{s.value:+.3f}",
            _interval(Estimate(s.value, s.ci95)),
            format_p_value(s.p),
            format_loss_difference(s.effect_first),
            format_loss_difference(s.effect_last),
            format_percentage_points(s.accuracy.value),
            format_time_difference(s.seconds),
        )
        for s in attribution.contributions
    ]
    rows.append(
        (
            "all of it",
            f"{attribution.total_difference.value:+.3f}",
            _interval(attribution.total_difference),
            "",
            "",
            "",
            format_percentage_points(attribution.total_accuracy.value),
            format_time_difference(attribution.total_seconds),
        )
    )
    return Section(
        "shares",
        "Which change brought how much",
        (
            Paragraph(
                "What a change brings depends on which others are made already. Its share is what"
                " it brings on average over all orders of making them (the Shapley value): the"
                " shares add up to the whole. Left of zero the loss falls, which is better. Each"
                " interval speaks for its own change; p, corrected for their number, for what is"
                " said of all of them."
            ),
            Figure(
                f"Share of each change in the held-out loss, {attribution.unit}, with 95 %"
                " intervals",
                f"Shares: {description}.",
                intervals(spans, Axis(attribution.unit)),
                height=70 + 34 * len(spans),
            ),
            ReportTable("Each change", columns, tuple(rows), frozenset({len(rows) - 1})),
        ),
    )


def _runs(attribution: Attribution) -> Section:
    """How it was found: every run, and what all of them share."""
    names = {s.key: s.change for s in attribution.contributions}
    columns = (
        TableColumn("seed"),
        TableColumn("changes made", False),
        TableColumn("held-out loss"),
        TableColumn("bits per byte"),
        TableColumn("accuracy"),
        TableColumn("updates"),
        TableColumn("time"),
    )
    rows = tuple(
        (
            str(r.seed),
            "; ".join(names.get(key, key) for key in r.changed) or f"none: {attribution.a}",
            f"{r.validation_loss:.3f}" + (" (went astray)" if r.diverged else ""),
            f"{r.bits_per_byte:.3f}",
            f"{r.accuracy:.1%}",
            f"{r.steps:,}",
            format_duration(r.seconds),
        )
        for r in attribution.runs
    )
    blocks: list[ReportBlock] = [
        Paragraph(
            f"{describe_method(attribution)}. Runs of one seed share initial weights where the"
            " shape allows, the order of the text, and the held-out text."
        ),
        ReportTable("Every run", columns, rows, folded=True),
    ]
    base = tuple(
        (key, format_setting(attribution.base.get(key)), format_setting(field.default))
        for key, field in RunConfig.model_fields.items()
        if key not in KEYS_WITHOUT_EFFECT_ON_LOSS
        and attribution.base.get(key, field.default) != field.default
    )
    if base:
        blocks.append(
            ReportTable(
                f"The settings of {attribution.a} that are not the default",
                (
                    TableColumn("setting", False),
                    TableColumn("value", False),
                    TableColumn("default", False),
                ),
                base,
                folded=True,
            )
        )
    return Section("runs", "How it was found", tuple(blocks))


def _interactions(attribution: Attribution) -> Sequence[Section]:
    if not attribution.interactions:
        return ()
    rows = tuple(
        (
            *i.keys,
            f"{i.value:+.3f}",
            f"{i.sets}" if i.sets else "–",
            f"{i.range[0]:+.3f} to {i.range[1]:+.3f}" if i.range else "–",
        )
        for i in attribution.interactions
    )
    columns = (
        TableColumn("one", False),
        TableColumn("other", False),
        TableColumn(attribution.unit),
        TableColumn("sets of others"),
        TableColumn("least to most"),
    )
    return (
        Section(
            "together",
            "What two changes do together",
            (
                Paragraph(
                    "Beyond what each brings alone: below zero they help each other. In "
                    f"{pairs_method(attribution)}; what is seen beside few sets may be chance."
                ),
                ReportTable("Pairs of changes, the strongest first", columns, rows),
            ),
        ),
    )


def format_loss_difference(value: float | None) -> str:
    """`-0.236`; a dash where it is not known."""
    return "–" if value is None else f"{value:+.3f}"

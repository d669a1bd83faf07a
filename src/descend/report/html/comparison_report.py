"""The report of a comparison: arms side by side, as loss reductions against the first."""

from __future__ import annotations

from pathlib import Path

from descend.config import RunConfig
from descend.experiments.compare.comparison_result import ArmResult, Comparison
from descend.experiments.named_config import KEYS_WITHOUT_EFFECT_ON_LOSS
from descend.handbook.setting_facts import format_setting
from descend.report.html.charts import SERIES, Axis, Curve, curves
from descend.report.html.experiment_sections import (
    MADE_BY,
    interval_figure,
    make_interval_bar,
    repeat_section,
    settings_tables,
)
from descend.report.html.report_page import (
    Fact,
    Facts,
    Figure,
    Paragraph,
    ReportBlock,
    ReportPage,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.text.experiment_tables import (
    accuracy_column_name,
    arm_loss_reduction,
    format_accuracy,
    format_estimate,
)
from descend.units import format_bytes, format_count, format_duration


def comparison_report(comparison: Comparison, folder: Path) -> ReportPage:
    """Arms side by side: loss reductions with intervals, curves, every number as a table."""
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
                    "lowest validation loss",
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


def _budget(comparison: Comparison) -> str:
    return "each its own" if comparison.budget is None else f"{comparison.budget:,.6g} for each run"


def _loss(arm: ArmResult, comparison: Comparison) -> float:
    return arm.bits_per_byte if comparison.unit == "bits per byte" else arm.validation_loss


def differences(comparison: Comparison) -> Section:
    """Return each arm against the first, in a figure and as rows."""
    first = comparison.arms[0].name
    reductions = [(a.name, arm_loss_reduction(a)) for a in comparison.arms]
    spans = [make_interval_bar(name, r) for name, r in reductions if r is not None]
    blocks: list[ReportBlock] = [
        Paragraph(
            f"Each is compared with {first}, seed by seed: same initial weights where the shape "
            "allows, same order of the text, same validation text."
        ),
        interval_figure(
            f"Validation loss reduction against {first}, {comparison.unit}, with 95 % intervals",
            f"Loss reduction against {first}",
            spans,
            comparison.unit,
        ),
        _arms(comparison),
        _sizes(comparison),
        _seeds(comparison),
    ]  # fmt: skip
    return Section("difference", "What differs", tuple(blocks))


def _arms(comparison: Comparison) -> ReportTable:
    columns = (
        word_columns("configuration")
        + number_columns("validation loss", "loss reduction (95 %)")
        + word_columns("verdict")
        + number_columns(
            accuracy_column_name(a.bigram_accuracy for a in comparison.arms),
            "bits per byte",
            "time",
        )
    )
    rows = tuple(
        (
            a.name,
            f"{a.validation_loss:.3f}",
            format_estimate(arm_loss_reduction(a)),
            a.verdict,
            format_accuracy(a.accuracy, a.bigram_accuracy),
            f"{a.bits_per_byte:.3f}",
            format_duration(a.seconds),
        )
        for a in comparison.arms
    )
    strong = frozenset(n for n, a in enumerate(comparison.arms) if a.verdict == "better")
    return ReportTable("Each configuration, as means over its seeds", columns, rows, strong)


def _sizes(comparison: Comparison) -> ReportTable:
    columns = word_columns("configuration") + number_columns(
        "parameters", "memory", "vocabulary", "steps", "tokens"
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
    return ReportTable("Size and training budget of each configuration", columns, rows, folded=True)


def _seeds(comparison: Comparison) -> ReportTable:
    columns = word_columns("configuration") + number_columns(
        "seed", "validation loss", "accuracy", "bits per byte", "time", "diverged at step"
    )
    rows = tuple(
        (a.name, str(s.seed), f"{s.validation_loss:.3f}", f"{s.accuracy:.1%}",
         f"{s.bits_per_byte:.3f}", format_duration(s.seconds),
         "–" if s.diverged_step is None else f"{s.diverged_step:,}")
        for a in comparison.arms for s in a.seeds
    )  # fmt: skip
    return ReportTable("Every run", columns, rows, folded=True)


def learning_curves(comparison: Comparison) -> Section | None:
    """Return the validation loss along the runs, where they were judged more than once."""
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
        Figure(f"Validation loss, {comparison.unit}, over tokens trained on (means over the seeds)"
               ": lower is better",
               f"{description}.", curves(lines, Axis("tokens"), Axis(comparison.unit)), height=360),
    ))  # fmt: skip


def _config_section(comparison: Comparison) -> Section:
    """Return what the arms do not share, and what they share that is no default."""
    keys = [k for k in RunConfig.model_fields if k not in KEYS_WITHOUT_EFFECT_ON_LOSS]
    values = {k: [a.config.get(k) for a in comparison.arms] for k in keys}
    differing = [k for k in keys if any(v != values[k][0] for v in values[k])]
    blocks: list[ReportBlock] = [
        ReportTable(
            "The settings that differ",
            word_columns("configuration", *differing),
            tuple(
                (a.name, *(format_setting(a.config.get(k)) for k in differing))
                for a in comparison.arms
            ),
        ),
    ]
    blocks += settings_tables(
        "Settings of all configurations that are not the default", comparison.arms[0].config,
        (key for key in keys if key not in differing),
    )  # fmt: skip
    return Section("settings", "Settings", tuple(blocks))

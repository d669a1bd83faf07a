"""The report of an attribution: which change brought how much of the loss reduction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from descend.config import RunConfig
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.estimate import to_loss_reduction
from descend.experiments.named_config import KEYS_WITHOUT_EFFECT_ON_LOSS
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
    contribution_loss_reduction,
    describe_method,
    format_accuracy,
    format_ci95,
    format_loss_reduction,
    format_p_value,
    format_pair_range,
    format_time_difference,
    pairs_method,
)
from descend.units import format_count, format_duration, format_percentage_points


def attribution_report(attribution: Attribution, folder: Path) -> ReportPage:
    """Parts of the changes with intervals, interactions, every run."""
    return ReportPage(
        title=f"{attribution.a} → {attribution.b}",
        subtitle=f"{attribution.corpus} · {folder.resolve().name}",
        lead=(attribution.sentence,),
        facts=Facts(
            (
                Fact(
                    "loss reduction in all",
                    format_loss_reduction(attribution.total_difference.value),
                    attribution.unit,
                ),
                Fact(
                    "accuracy",
                    format_percentage_points(attribution.total_accuracy.value),
                    "of validation tokens",
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


def _contributions_section(attribution: Attribution) -> Section:
    spans = [
        make_interval_bar(s.change, contribution_loss_reduction(s))
        for s in attribution.contributions
    ]
    return Section(
        "contributions",
        "Contribution of each change",
        (
            Paragraph(
                "What a change brings depends on which others are made already. Its part is what"
                " it brings on average over all orders of making them (the Shapley value): the"
                " parts add up to the whole. Right of zero the loss falls. Each"
                " interval speaks for its own change; p, corrected for their number, for what is"
                " said of all of them."
            ),
            interval_figure(
                f"Part of each change in the validation loss reduction, {attribution.unit}, with"
                " 95 % intervals",
                "Loss reductions",
                spans,
                attribution.unit,
            ),
            _contributions_table(attribution),
        ),
    )


def _contributions_table(attribution: Attribution) -> ReportTable:
    columns = word_columns("change") + number_columns(
        "loss reduction", "95 %", "p (Holm)", "alone", "made last", "accuracy", "time"
    )
    rows = [
        (
            s.change,
            format_loss_reduction(s.value),
            format_ci95(contribution_loss_reduction(s)),
            format_p_value(s.p),
            format_loss_reduction(s.effect_first),
            format_loss_reduction(s.effect_last),
            format_percentage_points(s.accuracy.value),
            format_time_difference(s.seconds),
        )
        for s in attribution.contributions
    ]
    rows.append(
        (
            "all of it",
            format_loss_reduction(attribution.total_difference.value),
            format_ci95(to_loss_reduction(attribution.total_difference)),
            "",
            "",
            "",
            format_percentage_points(attribution.total_accuracy.value),
            format_time_difference(attribution.total_seconds),
        )
    )
    return ReportTable("Each change", columns, tuple(rows), frozenset({len(rows) - 1}))


def _runs(attribution: Attribution) -> Section:
    """Return how it was found: every run, and what all of them share."""
    names = {s.key: s.change for s in attribution.contributions}
    columns = (
        number_columns("seed")
        + word_columns("changes made")
        + number_columns(
            "validation loss",
            "bits per byte",
            accuracy_column_name(r.bigram_accuracy for r in attribution.runs),
            "steps",
            "time",
        )
    )
    rows = tuple(
        (
            str(r.seed),
            "; ".join(names.get(key, key) for key in r.changed) or f"none: {attribution.a}",
            f"{r.validation_loss:.3f}" + (" (diverged)" if r.diverged else ""),
            f"{r.bits_per_byte:.3f}",
            format_accuracy(r.accuracy, r.bigram_accuracy),
            f"{r.steps:,}",
            format_duration(r.seconds),
        )
        for r in attribution.runs
    )
    blocks: list[ReportBlock] = [
        Paragraph(
            f"{describe_method(attribution)}. Runs of one seed share initial weights where the"
            " shape allows, the order of the text, and the validation text."
        ),
        ReportTable("Every run", columns, rows, folded=True),
    ]
    blocks += settings_tables(
        f"Settings of {attribution.a} that are not the default", attribution.base,
        (key for key in RunConfig.model_fields if key not in KEYS_WITHOUT_EFFECT_ON_LOSS),
        folded=True,
    )  # fmt: skip
    return Section("runs", "How it was found", tuple(blocks))


def _interactions(attribution: Attribution) -> Sequence[Section]:
    if not attribution.interactions:
        return ()
    rows = tuple(
        (
            *i.keys,
            format_loss_reduction(i.value),
            f"{i.sets}" if i.sets else "–",
            format_pair_range(i) or "–",
        )
        for i in attribution.interactions
    )
    columns = word_columns("one", "other") + number_columns(
        attribution.unit, "sets of others", "least to most"
    )
    return (
        Section(
            "together",
            "Interactions of two changes",
            (
                Paragraph(
                    "Beyond what each brings alone: above zero they help each other. In "
                    f"{pairs_method(attribution)}; an estimate from few sets may be chance."
                ),
                ReportTable("Pairs of changes, strongest first", columns, rows),
            ),
        ),
    )

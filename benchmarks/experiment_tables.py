"""Committed experiments as blocks of a page: what `tables.py` puts into docs/."""

from __future__ import annotations

import msgspec
from result_files import markdown, read

from descend.experiments.attribute.attribution_result import Attribution, AttributionRun
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.estimate import to_loss_reduction
from descend.experiments.search.search_result import SearchResult
from descend.report.text.experiment_summary import summarize_comparison, summarize_search
from descend.report.text.experiment_tables import (
    comparison_text,
    contribution_loss_reduction,
    format_estimate,
    format_loss_reduction,
    format_p_value,
    format_pair_range,
)
from descend.report.text.search_summary import format_search
from descend.report.text.wrapping import wrap_lines
from descend.units import format_count

PAIRS = 6
"""Of an attribution that a page names."""

ATTRIBUTIONS = {
    "shares_2": "old_guide_0.02_tinyshakespeare",
    "shares_2_moby": "old_guide_0.02_moby_dick",
    "shares_5": "old_guide_0.05_tinyshakespeare",
    "shares_5_moby": "old_guide_0.05_moby_dick",
    "shares_20": "old_guide_0.2_tinyshakespeare",
}
"""By the name of their table."""


def rates() -> str:
    """What `descend compare` prints of the claim on rates."""
    record = read("compare/rates.json")
    experiment = msgspec.convert(record["result"], Comparison)
    experiment = msgspec.structs.replace(experiment, sentence=summarize_comparison(experiment))
    text = wrap_lines(comparison_text(experiment), 80)
    return f"```\n{record['command']}\n\n{text}\n```\n"


def searched() -> str:
    """What `descend search` prints of the committed search."""
    record = read("search/tinyshakespeare.json")
    experiment = msgspec.convert(record["result"] | {"command": record["command"]}, SearchResult)
    experiment = msgspec.structs.replace(experiment, sentence=summarize_search(experiment))
    return f"```\n{wrap_lines(format_search(experiment), 80)}\n```\n"


def attributed(name: str) -> str:
    """An attribution: the whole, its parts, and its strongest pairs."""
    record = read(f"attribute/{name}.json")
    experiment = msgspec.convert(record["result"], Attribution)
    first, last = (end(experiment, is_fullest) for is_fullest in (False, True))
    head = ["change", f"loss reduction, {experiment.unit}", "p (Holm)", "alone", "last"]
    parts = [
        [
            s.change,
            format_estimate(contribution_loss_reduction(s)),
            format_p_value(s.p),
            format_loss_reduction(s.effect_first),
            format_loss_reduction(s.effect_last),
        ]
        for s in experiment.contributions
    ]
    pairs = [
        [" and ".join(f"`{key}`" for key in i.keys), format_loss_reduction(i.value), str(i.sets),
         "–" if i.range is None or i.sets < 2 else format_pair_range(i)]
        for i in experiment.interactions[:PAIRS]
    ]  # fmt: skip
    return "\n".join(
        [
            f"`{record['command']}`: {first.validation_loss:.3f} → {last.validation_loss:.3f} "
            f"{experiment.unit}, loss reduction "
            f"{format_estimate(to_loss_reduction(experiment.total_difference))} "
            f"({format_count(len(experiment.seeds), 'seed')}, "
            f"{format_count(experiment.orders, 'order')}, "
            f"{format_count(len(experiment.runs), 'run')})",
            "",
            markdown(head, parts),
            markdown(
                ["two together, beyond their sum", "estimate", "sets of others", "least to most"],
                pairs,
            ),
        ]
    )


def end(experiment: Attribution, all_made: bool) -> AttributionRun:
    """The run of the first seed with none or all of the changes made."""
    count = len(experiment.contributions) if all_made else 0
    return next(
        r for r in experiment.runs if r.seed == experiment.seeds[0] and len(r.changed) == count
    )

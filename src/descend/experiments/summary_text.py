"""The answer of a comparison in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from descend.experiments.compare.result import ArmResult, Comparison
from descend.experiments.search.result import SearchTrial
from descend.units import format_count

_OF = {"tokens": "tokens", "seconds": "s of training", "steps": "steps"}

MIN_TRIED = 3
"""Trials under which nothing was searched: the base and another are a comparison."""

_EQUAL = {
    "tokens": "on equal tokens",
    "seconds": "in equal time",
    "steps": "with equal steps",
    "epoch": "with each its own epochs",
}


def summarize_comparison(arms: Sequence[ArmResult], unit: str, match: str, seeds: int) -> str:
    """What may be claimed of the arms against the first, and what may not."""
    first, others = arms[0], arms[1:]
    text = f"{_EQUAL[match]}, {format_count(seeds, 'seed')} each"
    if seeds == 1:
        text += " (one seed: no significance test possible)"
    better = sorted((a for a in others if a.verdict == "better"), key=_difference)
    worse = sorted((a for a in others if a.verdict == "worse"), key=_difference)
    unsure = [a.name for a in others if a.verdict == "not told apart"]
    parts = []
    if better:
        parts.append(
            f"significantly better than {first.name} (lower validation loss): "
            + ", ".join(f"{a.name} ({_difference(a):+.3f})" for a in better)
        )
    if worse:
        parts.append(
            f"significantly worse than {first.name}: "
            + ", ".join(f"{a.name} ({_difference(a):+.3f})" for a in worse)
        )
    if unsure:
        parts.append(f"no significant difference from {first.name}: {', '.join(unsure)}")
    return f"{text[0].upper()}{text[1:]}, in {unit}: {'; '.join(parts)}."


def summarize_search(
    tried: Sequence[SearchTrial],
    best: SearchTrial,
    comparison: Comparison | None,
    match: str,
    budget: float | None,
) -> str:
    """What may be claimed of the best of a search, and what not."""
    each = "its own epochs" if budget is None else f"{budget:,.10g} {_OF[match]}"
    stopped = sum(t.state == "stopped" for t in tried)
    early = f" ({stopped} pruned early)" if stopped else ""
    values = ", ".join(f"{key} {value_word(value)}" for key, value in best.values.items())
    text = f"Of {len(tried)} configurations tried with {each} each{early}, "
    if len(tried) == 1:
        return "Only 1 trial fit into the time limit. Use a larger --minutes or a smaller base."
    if comparison is None:
        return text + f"none was better than the base itself ({values})."
    text += f"the best is {values}. "
    best_arm = comparison.arms[1]
    said = {"better": "significantly better than", "worse": "significantly worse than"}.get(
        best_arm.verdict, "not significantly different from"
    )
    interval = best_arm.difference.ci95 if best_arm.difference else None
    span = f" [95 % CI {interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
    seeds = format_count(len(comparison.seeds), "new seed")
    text += (
        f"Retrained with {seeds}, it is {said} the base: {_difference(best_arm):+.3f}{span} "
        f"{comparison.unit}"
    )
    if len(comparison.seeds) == 1:
        text += " (one seed: no significance test possible)"
    return text + "."


def few_trials_warning(tried: int, there_are: float) -> str:
    """What is added to it where time was too short to search: no more than the base and another."""
    if tried >= min(MIN_TRIED, there_are) or tried == 1:  # of one the sentence says it
        return ""
    return (
        f" Only {format_count(tried, 'trial')} fit into the time limit. Use a larger --minutes or"
        " a smaller base."
    )


def value_word(value: object) -> str:
    """`0.00211`: a drawn number is not worth more than three digits to read."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _difference(arm: ArmResult) -> float:
    return arm.difference.value if arm.difference else 0.0

"""The answers of experiments in plain words: what may be claimed, and what may not.

Effects on the loss are loss reductions: above zero is better.
"""

from __future__ import annotations

from descend.experiments.attribute.attribution_result import Attribution, ChangeContribution
from descend.experiments.compare.comparison_result import ArmResult, Comparison
from descend.experiments.compare.finished_runs import FinishedComparison
from descend.experiments.estimate import to_loss_reduction
from descend.experiments.search.search_result import SearchResult
from descend.experiments.search.space import count_configs
from descend.trials.paired_stats import ALPHA
from descend.units import format_count, quoted

MIN_TRIED = 3
"""Trials under which nothing was searched: the base and another are a comparison."""

MIN_GAIN_BITS = 0.01
"""Bits per byte under which two single runs are not distinguished: three times the standard
deviation across seeds of a small run (0.006 nats per token, tiny Shakespeare, of about 2 bytes a
token)."""

_BUDGET_WORDS = {"tokens": "tokens", "seconds": "s of training", "steps": "steps"}

_EQUAL = {
    "tokens": "on equal tokens",
    "seconds": "in equal time",
    "steps": "with equal steps",
    "epoch": "with each its own epochs",
}

_VERDICTS = {"better": "significantly better than", "worse": "significantly worse than"}


def summarize_comparison(comparison: Comparison) -> str:
    """Say what may be claimed of the arms against the first, and what may not."""
    first, others = comparison.arms[0], comparison.arms[1:]
    num_seeds = len(comparison.seeds)
    text = f"{_EQUAL[comparison.budget_unit]}, {format_count(num_seeds, 'seed')} each"
    if num_seeds == 1:
        text += " (one seed: no significance test possible)"
    parts = []
    for verdict, words in _VERDICTS.items():
        arms = sorted((a for a in others if a.verdict == verdict), key=lambda a: -_reduction(a))
        if arms:
            named = ", ".join(f"{a.name} ({_reduction(a):+.3f})" for a in arms)
            parts.append(f"{words} {first.name}: {named}")
    unsure = [a.name for a in others if a.verdict == "not significant"]
    if unsure:
        parts.append(f"no significant difference from {first.name}: {', '.join(unsure)}")
    return (
        f"{text[0].upper()}{text[1:]}, validation loss reduction in {comparison.unit}: "
        f"{'; '.join(parts)}."
    )


def headline_comparison(comparison: Comparison) -> str:
    """Say in a short sentence which arm is the best one, where that can be claimed."""
    first, others = comparison.arms[0], comparison.arms[1:]
    better = [arm for arm in others if arm.verdict == "better"]
    if better:
        best = max(better, key=_reduction)
        return f"{best.name} learns better than {first.name}."
    if all(arm.verdict == "worse" for arm in others):
        return f"{first.name} learns best of these."
    return f"Nothing here learns better than {first.name}, as far as these trainings can tell."


KEYS_OF_LENGTH = {"epoch", "max_steps", "minutes", "warmup_steps", "bpe_dropout", "token_dropout"}
"""Keys that follow from the length of a run, which is the same for all arms of a comparison."""


def summarize_finished_runs(comparison: FinishedComparison) -> str:
    """Say which of the finished runs is better, where that can be determined."""
    if not comparison.same_validation:
        return (
            "The runs have different validation texts, so their losses cannot be compared. Use "
            "`descend evaluate` to evaluate each of them on one text."
        )
    runs = comparison.runs
    best = min(runs, key=lambda r: r.bits_per_byte)
    lead = min(r.bits_per_byte for r in runs if r is not best) - best.bits_per_byte
    arms = " ".join(f"--arm {quoted(r.run)}" for r in runs)
    if lead < MIN_GAIN_BITS:
        return (
            f"The best two differ by {lead:.3f} bits per byte, which is within seed-to-seed "
            "variation: no reliable difference."
        )
    text = f"{best.run} is better by {lead:.3f} bits per byte, with one run each."
    if set(comparison.differences) <= KEYS_OF_LENGTH:
        return text
    return f"{text} For a significance test over several seeds, run `descend compare {arms}`."


def compare_with_base(comparison: FinishedComparison) -> str:
    """Say what a run made from another one gained over it; empty where that cannot be compared."""
    if not comparison.same_validation:
        return ""
    base, new = comparison.runs[:2]
    gain = base.bits_per_byte - new.bits_per_byte
    if abs(gain) < MIN_GAIN_BITS:
        change = "no reliable difference"
    else:
        change = f"{abs(gain) / base.bits_per_byte:.1%} {'lower' if gain > 0 else 'higher'}"
    return (
        f"Compared with {base.run}: {new.bits_per_byte:.3f} bits per byte instead of "
        f"{base.bits_per_byte:.3f} ({change})."
    )


def summarize_search(result: SearchResult) -> str:
    """Say what may be claimed of the best of a search, and what not."""
    if len(result.trials) == 1:
        return "Only 1 trial fit into the time limit. Use a larger --minutes or a smaller base."
    return _search_claim(result) + few_trials_warning(
        len(result.trials), count_configs(result.space)
    )


def _search_claim(result: SearchResult) -> str:
    budget, comparison = result.budget, result.confirmation
    each = (
        "its own epochs"
        if budget is None
        else f"{budget:,.10g} {_BUDGET_WORDS[result.budget_unit]}"
    )
    stopped = sum(t.state == "stopped" for t in result.trials)
    early = f" ({stopped} pruned early)" if stopped else ""
    best = next(t for t in result.trials if t.number == result.best_number)
    values = ", ".join(f"{key} {format_value(value)}" for key, value in best.values.items())
    text = f"Of {len(result.trials)} configurations tried with {each} each{early}, "
    if comparison is None:
        return text + f"none was better than the base ({values})."
    best_arm = comparison.arms[1]
    verdict = _VERDICTS.get(best_arm.verdict, "not significantly different from")
    text += (
        f"the best is {values}. Retrained with "
        f"{format_count(len(comparison.seeds), 'new seed')}, it is {verdict} the base: loss "
        f"reduction {_reduction(best_arm):+.3f}{_format_interval(best_arm)} {comparison.unit}"
    )
    if len(comparison.seeds) == 1:
        text += " (one seed: no significance test possible)"
    return text + "."


def few_trials_warning(tried: int, num_configs: float) -> str:
    """Warn where time was too short to search: no more than the base and another."""
    if tried >= min(MIN_TRIED, num_configs) or tried == 1:  # of one the sentence says it
        return ""
    return (
        f" Only {format_count(tried, 'trial')} fit into the time limit. Use a larger --minutes or"
        " a smaller base."
    )


def summarize_attribution(attribution: Attribution) -> str:
    """Say which changes helped and which hurt, from the largest effect down."""
    total, contributions = attribution.total_difference, attribution.contributions
    direction = "lowers" if total.value < 0 else "raises"
    text = (
        f"The change from {attribution.a} to {attribution.b} {direction} the validation loss by "
        f"{abs(total.value):.3f} {attribution.unit}"
    )
    if len(attribution.seeds) == 1:
        text += " (one seed)"
    elif not _excludes_zero(total.ci95):
        text += " (not significant)"
    if contributions[0].ci95 is None:
        exact = attribution.method == "exact"
        evidence = "one seed" if exact else "one order of one seed"
        return f"{text}; no significance test is possible with {evidence}. Use more --num-seeds."
    significant = [c for c in contributions if is_significant_contribution(c)]
    groups = {
        "significant improvement": [_name_effect(c) for c in significant if c.value < 0],
        "significant harm": [_name_effect(c) for c in reversed(significant) if c.value > 0],
        "not significant": [c.key for c in contributions if c not in significant],
    }
    parts = [f"{words}: {', '.join(keys)}" for words, keys in groups.items() if keys]
    return f"{text}; {_scope(attribution)}{'; '.join(parts)}."


def _scope(attribution: Attribution) -> str:
    """Of what the words are said, where that is not any seed: orders of one seed say nothing of
    others. Nor do more orders than changes of each of several: these meet the same runs again, and
    noise of a run met twice looks like an effect."""
    num_seeds = len(attribution.seeds)
    if num_seeds == 1:
        return f"over its {attribution.orders} orders, "
    if attribution.orders > len(attribution.contributions):
        return f"over {attribution.orders} orders of each of these {num_seeds} seeds, "
    return ""


def is_significant_contribution(contribution: ChangeContribution) -> bool:
    """Tell whether it may be said, beside what is said of all other changes, that it helped or
    hurt."""
    return contribution.p is not None and contribution.p < ALPHA


def _name_effect(contribution: ChangeContribution) -> str:
    return f"{contribution.key} ({0.0 - contribution.value:+.3f})"


def _excludes_zero(ci95: tuple[float, float] | None) -> bool:
    """Return whether there is an interval and zero lies outside it."""
    return ci95 is not None and (ci95[0] > 0 or ci95[1] < 0)


def format_value(value: object) -> str:
    """Return `0.00211`: a drawn number is not worth more than three digits to read."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _reduction(arm: ArmResult) -> float:
    return to_loss_reduction(arm.difference).value if arm.difference else 0.0


def _format_interval(arm: ArmResult) -> str:
    interval = to_loss_reduction(arm.difference).ci95 if arm.difference else None
    return f" [95 % CI {interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""

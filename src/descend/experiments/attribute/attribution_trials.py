"""From one configuration to another: which change brought how much?

Every set of changes is a configuration that can be trained; what a change brings depends on which
others are made already. Its share is what it brings, averaged over all orders of making them: the
Shapley value (`trials/shapley.py`). Few changes are tried in all their sets, more along a number
of random orders. Runs of one seed share initial weights, data order and validation text.

Each change has its own interval of 95 %. Of seven changes that all do nothing, three tables in ten
would hold an interval without zero, so what is said in words goes by p-values corrected for
the number of changes: the chance that any of the words is wrong stays at 5 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from descend.config import RunConfig
from descend.errors import ConfigError
from descend.experiments.attribute.attribution_result import (
    Attribution,
    AttributionRun,
    ChangeContribution,
    Interaction,
)
from descend.experiments.attribute.config_diff import ConfigDiff, apply_diff, diff_configs
from descend.experiments.estimate import Estimate, estimate_mean
from descend.experiments.named_config import NamedConfig, fit_named_config
from descend.trials.executor import TrialCallback, ignore_progress, run_trials
from descend.trials.paired_stats import holm_adjust, paired_p_value
from descend.trials.shapley import (
    Coalition,
    Game,
    coalitions,
    coalitions_along,
    exact_shapley_values,
    marginal_contributions,
    mean_interaction,
    pair_interaction,
    sample_orderings,
)
from descend.trials.trial_spec import EVALUATION_TOKENS, TrialResult, TrialSpec, make_trial_spec
from descend.units import format_count


@dataclass(frozen=True)
class AttributionDesign:
    """Which runs answer the question."""

    a: NamedConfig
    b: NamedConfig
    changes: list[ConfigDiff]
    seeds: list[int]
    orders: dict[int, list[tuple[int, ...]]]
    """Of each seed; empty when all sets of changes are tried."""
    train_fraction: float
    evaluation_tokens: int

    @property
    def exact(self) -> bool:
        """Whether all sets of changes are tried."""
        return not self.orders

    @property
    def order_count(self) -> int:
        """Orders followed for each seed; 0 when exact."""
        return 0 if self.exact else len(self.orders[self.seeds[0]])

    def required_runs(self) -> list[tuple[int, Coalition]]:
        """Return each run, by its seed and the changes made, once."""
        met: dict[tuple[int, Coalition], None] = {}
        for seed in self.seeds:
            seed_coalitions = (
                list(coalitions(len(self.changes)))
                if self.exact
                else [c for order in self.orders[seed] for c in coalitions_along(order)]
            )
            met |= dict.fromkeys((seed, members) for members in seed_coalitions)
        return list(met)

    def make_spec(self, seed: int, members: Coalition) -> TrialSpec:
        """Return the run of `seed` with these changes made."""
        made = [self.changes[number] for number in sorted(members)]
        config = apply_diff(self.a.config, made, seed)
        return make_trial_spec(
            config, train_fraction=self.train_fraction, evaluation_tokens=self.evaluation_tokens
        )

    def specs(self) -> list[TrialSpec]:
        """Return all that must be run, in the order of `needed`."""
        return [self.make_spec(*one) for one in self.required_runs()]


def design_attribution(
    a: NamedConfig,
    b: NamedConfig,
    *,
    seeds: int = 1,
    runs: int = 64,
    train_fraction: float = 1.0,
    evaluation_tokens: int = EVALUATION_TOKENS,
) -> AttributionDesign:
    """Return all sets of changes if `runs` allow it, else as many random orders as they pay for.

    Seeds count on from that of A. `ConfigError` if A and B do not differ or `runs` are too few.
    """
    a, b = fit_named_config(a), fit_named_config(b)
    changes = diff_configs(a.config, b.config)
    count = len(changes)
    numbers = [a.config.seed + n for n in range(seeds)]
    orders: dict[int, list[tuple[int, ...]]] = {}
    if seeds * 2**count > runs:
        min_runs = seeds * (count + 1)
        if runs < min_runs:
            raise ConfigError(
                "runs", str(runs),
                f"at least {min_runs}: {count} changes and {format_count(seeds, 'seed')}",
                "allow more runs or take fewer seeds",
            )  # fmt: skip
        # Orders of one seed share the run without and the run with all changes.
        each = max(1, (runs // seeds - 2) // max(1, count - 1))
        orders = {seed: sample_orderings(count, each, seed) for seed in numbers}
    return AttributionDesign(a, b, changes, numbers, orders, train_fraction, evaluation_tokens)


def run_attribution_trials(
    plan: AttributionDesign,
    *,
    workers: int | None = None,
    on_progress: TrialCallback = ignore_progress,
) -> Attribution:
    """Carry the runs of `plan` out and share the difference among its changes."""
    needed = plan.required_runs()
    results = run_trials(plan.specs(), workers=workers, on_progress=on_progress)
    return compute_attribution(plan, dict(zip(needed, results, strict=True)))


def compute_attribution(
    plan: AttributionDesign, results: dict[tuple[int, Coalition], TrialResult]
) -> Attribution:
    """Return the attribution that follows from these results."""
    in_bits = len({result.vocab_size for result in results.values()}) > 1

    def loss(result: TrialResult) -> float:
        return result.bits_per_byte if in_bits else result.validation_loss

    def table(of: Callable[[TrialResult], float]) -> dict[int, Game]:
        return {
            seed: {members: of(o) for (s, members), o in results.items() if s == seed}
            for seed in plan.seeds
        }

    losses, accuracies = table(loss), table(lambda o: o.accuracy)
    seconds = table(lambda o: o.seconds)
    parts, other, time = (_samples(plan, games) for games in (losses, accuracies, seconds))
    corrected = holm_adjust([paired_p_value(part) for part in parts])
    contributions = [
        _make_contribution(plan, losses, number, (parts[number], other[number], time[number]), p)
        for number, p in enumerate(corrected)
    ]
    contributions.sort(key=lambda contribution: contribution.value)
    return Attribution(
        a=plan.a.name,
        b=plan.b.name,
        corpus=str(plan.a.config.corpus_dir or "python"),
        unit="bits per byte" if in_bits else "nats per token",
        method="exact" if plan.exact else "sampled",
        seeds=plan.seeds,
        orders=plan.order_count,
        train_fraction=plan.train_fraction,
        evaluation_tokens=plan.evaluation_tokens,
        base=plan.a.config.model_dump(mode="json"),
        total_difference=_whole(losses),
        total_accuracy=_whole(accuracies),
        total_seconds=_whole(seconds),
        contributions=contributions,
        interactions=_interactions(plan, losses),
        runs=[_tried(plan, *one, result) for one, result in results.items()],
    )


def _samples(plan: AttributionDesign, games: dict[int, Game]) -> list[list[float]]:
    """For each change its shares: one a seed when exact, else one an order of each seed."""
    count = len(plan.changes)
    if plan.exact:
        rows = [exact_shapley_values(games[seed], count) for seed in plan.seeds]
    else:
        rows = [
            marginal_contributions(games[seed], order)
            for seed in plan.seeds
            for order in plan.orders[seed]
        ]
    return [list(column) for column in zip(*rows, strict=True)]


def _make_contribution(
    plan: AttributionDesign,
    losses: dict[int, Game],
    number: int,
    samples: tuple[list[float], ...],
    p: float,
) -> ChangeContribution:
    of_loss, of_accuracy, of_seconds = (estimate_mean(s) for s in samples)
    everyone = frozenset(range(len(plan.changes)))
    return ChangeContribution(
        key=plan.changes[number].name,
        change=plan.changes[number].description,
        value=of_loss.value,
        ci95=of_loss.ci95,
        p=None if of_loss.ci95 is None else p,
        accuracy=of_accuracy,
        seconds=of_seconds,
        effect_first=_step(losses, frozenset(), number),
        effect_last=_step(losses, everyone - {number}, number),
    )


def _step(games: dict[int, Game], before: Coalition, number: int) -> float | None:
    """Return what one change brings after the changes `before`, over the seeds where that was
    run."""
    after = before | {number}
    steps = [g[after] - g[before] for g in games.values() if after in g and before in g]
    return float(np.mean(steps)) if steps else None


def _whole(games: dict[int, Game]) -> Estimate:
    def ends(game: Game) -> float:
        return game[max(game, key=len)] - game[frozenset()]

    return estimate_mean([ends(game) for game in games.values()])


def _interactions(plan: AttributionDesign, losses: dict[int, Game]) -> list[Interaction]:
    interactions = []
    for (i, first), (j, second) in itertools.combinations(enumerate(plan.changes), 2):
        of_seeds = [met for game in losses.values() if (met := pair_interaction(game, i, j))]
        values = [value for met in of_seeds for value in met.values()]
        if values:
            value = float(np.mean([mean_interaction(met) for met in of_seeds]))
            span = (min(values), max(values))
            interactions.append(Interaction((first.name, second.name), value, len(values), span))
    return sorted(interactions, key=lambda one: -abs(one.value))


def _tried(
    plan: AttributionDesign, seed: int, members: Coalition, result: TrialResult
) -> AttributionRun:
    return AttributionRun(
        seed=seed,
        changed=[plan.changes[number].name for number in sorted(members)],
        validation_loss=result.validation_loss,
        bits_per_byte=result.bits_per_byte,
        accuracy=result.accuracy,
        seconds=result.seconds,
        steps=result.steps,
        tokens=result.tokens,
        diverged=result.diverged_step is not None,
        bigram_accuracy=result.bigram_accuracy,
    )


def on_common_corpus(
    a: NamedConfig, b: NamedConfig, corpus_dir: str | None
) -> tuple[NamedConfig, NamedConfig]:
    """Return both on one text: that of CORPUS if given, else what A names, else what B names."""
    corpus = corpus_dir or a.config.corpus_dir or b.config.corpus_dir
    return _on(a, corpus), _on(b, corpus if corpus_dir else b.config.corpus_dir or corpus)


def _on(named: NamedConfig, corpus: str | None) -> NamedConfig:
    config: RunConfig = named.config.model_copy(update={"corpus_dir": corpus})
    return NamedConfig(named.name, config)

"""Which effect of each cause counts, and how often each cause is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from descend.diagnosis.effects import TreatmentEffect

NUM_MONTE_CARLO_DRAWS = 4000
"""Of the gains within their errors, to see how often which treatment is best: error under 0.01."""
UNTESTED_PROBABILITY = 0.07
"""Probability left for what was not tried. Origin: of 101 verdicts of the benchmark's development
half that trials made all but certain, 95 are right. Fitted so on the other corpora, it halves the
distance of stated and right (benchmarks/results/diagnosis/calibration.json)."""


def best_effect_per_cause(effects: Sequence[TreatmentEffect]) -> dict[str, TreatmentEffect]:
    """Return the effect of each cause that is worth most, a significant one before others."""
    best: dict[str, TreatmentEffect] = {}
    for effect in effects:
        before = best.get(effect.treatment.cause)
        if before is None or _is_better(effect, before):
            best[effect.treatment.cause] = effect
    return best


def _is_better(effect: TreatmentEffect, before: TreatmentEffect) -> bool:
    """Return whether `effect` counts instead of `before`, of the same cause.

    Of two that differ by less than a standard error, the one with more seeds is surer: one lucky
    seed would else win over the mean of three.
    """
    if effect.is_significant != before.is_significant:
        return effect.is_significant
    difference = effect.cost_adjusted_reduction - before.cost_adjusted_reduction
    if effect.seeds != before.seeds and abs(difference) < max(effect.std_error, before.std_error):
        return effect.seeds > before.seeds
    return difference > 0


def probability_best(effects: Sequence[TreatmentEffect]) -> dict[str, float]:
    """Return how often each treatment is the best, and `healthy` none, in `NUM_MONTE_CARLO_DRAWS`.

    Each gain is drawn from a normal distribution of its mean and standard error, both shrunk by how
    much gains of this trial series are spread beyond their errors (the empirical Bayes rule of
    James and Stein): of many the least certain would else be the best most often.
    `UNTESTED_PROBABILITY` is set aside for causes that no trial stands for. A gain that was
    measured too small to be worth having is not drawn: of ten neutral treatments chance alone would
    lift one or another over the mark, and every healthy run would be left in doubt; nor is one that
    may be chance and is under `MIN_RELATIVE_EFFECT_AGAINST_HEALTHY` of the loss. Where all are too
    small, one that is surely above zero and may yet be large enough takes from `healthy` what
    chance it has.
    """
    counts = dict.fromkeys([*(g.treatment.cause for g in effects), "healthy"], 0.0)
    large = [g for g in effects if g.full_length_reduction >= g.min_effect_against_healthy]
    if not large:
        counts |= {
            g.treatment.cause: (1.0 - UNTESTED_PROBABILITY) * _yet_enough(g) for g in effects
        }
        return counts | {"healthy": 1.0 - UNTESTED_PROBABILITY - max([0.0, *counts.values()])}
    shrinkage = _shrinkage(effects, large)
    errors = np.array([g.error_at_end for g in large])
    pick = np.random.default_rng(0)
    noise = pick.standard_normal((NUM_MONTE_CARLO_DRAWS, len(large))) * errors * np.sqrt(shrinkage)
    at_end = np.array([g.full_length_reduction for g in large])
    adjusted_reductions = np.array([g.cost_adjusted_reduction for g in large])
    scale = adjusted_reductions / np.where(np.abs(at_end) > 1e-9, at_end, 1.0)
    drawn = shrinkage * at_end + noise
    scores = np.where(
        drawn >= np.array([g.min_effect_against_healthy for g in large]),
        drawn * np.abs(scale),
        -np.inf,
    )
    first = np.where(np.isfinite(scores.max(1)), scores.argmax(1), len(large))
    names = [*(g.treatment.cause for g in large), "healthy"]
    for index, name in enumerate(names):
        counts[name] += float((first == index).mean()) * (1.0 - UNTESTED_PROBABILITY)
    return counts


def _shrinkage(
    effects: Sequence[TreatmentEffect], large: Sequence[TreatmentEffect]
) -> NDArray[np.float64]:
    """Return the factor of each of `large` that the spread of all `effects` leaves."""
    own = [
        g.full_length_reduction**2 - g.error_at_end**2
        for g in effects
        if g.full_length_reduction > 0
    ]
    spread = max(float(np.mean(own)), min(g.min_effect_against_healthy for g in large) ** 2)
    return spread / (spread + np.array([g.error_at_end for g in large]) ** 2)


def _yet_enough(effect: TreatmentEffect) -> float:
    """Return the chance that a gain measured too small to be worth having is large enough, under a
    half."""
    if effect.low <= 0 or effect.error_at_end <= 0:
        return 0.0
    return 0.5 * math.erfc(
        (effect.min_effect_against_healthy - effect.full_length_reduction)
        / effect.error_at_end
        / math.sqrt(2)
    )

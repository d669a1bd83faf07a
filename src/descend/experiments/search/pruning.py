"""When a trial under way is hopeless: even with the largest gain that any finished trial made from
there on it would end clearly behind the best.

Predictive termination as by Domhan, Springenberg and Hutter (2015, IJCAI), with what the finished
trials gained in place of a model of the curve. The median rule (Golovin et al. 2017, section 3.4)
was tried first: once the sampler has found where the good ones are, trials stand so close together
halfway that it ends the best of them (benchmarks/results/search/rules.txt).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

Curve = Mapping[int, float]
"""Losses by the part of the budget that is used, in thousandths."""

FULL_BUDGET = 1000

MIN_FINISHED_TRIALS = 4
"""Trials that are finished in any case: the gains of fewer say little."""

MIN_PRUNE_PROGRESS = FULL_BUDGET * 3 // 10
"""Judgments in the first third, of which the warmup is a part, say little."""

PRUNE_MARGIN = 0.02
"""Share of the loss by which it must be behind at the end: more than the seed decides."""


def should_prune(observed: Curve, finished: Sequence[Curve]) -> bool:
    """Whether the trial whose judgments are `seen` should be ended, as `finished` ones went."""
    whole = [curve for curve in finished if FULL_BUDGET in curve]
    now = max(observed)
    if len(whole) < MIN_FINISHED_TRIALS or now < MIN_PRUNE_PROGRESS:
        return False
    min_loss_ratio = min(curve[FULL_BUDGET] / loss_at(curve, now) for curve in whole)
    best = min(curve[FULL_BUDGET] for curve in whole)
    return observed[now] * min_loss_ratio > best * (1 + PRUNE_MARGIN)


def loss_at(curve: Curve, position: int) -> float:
    """The loss of `curve` at `place`: between two judgments in proportion."""
    positions = sorted(curve)
    if position <= positions[0]:
        return curve[positions[0]]
    for before, after in itertools.pairwise(positions):
        if position <= after:
            fraction = (position - before) / (after - before)
            return curve[before] + fraction * (curve[after] - curve[before])
    return curve[positions[-1]]

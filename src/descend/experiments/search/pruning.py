"""Which trial under way is pruned: even with the largest gain that any finished trial made from
there on it would end clearly behind the best.

Predictive termination as by Domhan, Springenberg and Hutter (2015, IJCAI), with what the finished
trials gained in place of a model of the curve. The median rule (Golovin et al. 2017, section 3.4)
was tried first: once the sampler has found where the good ones are, trials stand so close together
halfway that it ends the best of them (benchmarks/results/search/rules.txt).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from descend.experiments.search.search_result import FULL_BUDGET

Curve = Mapping[int, float]
"""Losses by the part of the budget that is used, in thousandths."""

MIN_FINISHED_TRIALS = 4
"""Trials that are finished in any case: the gains of fewer say little."""

MIN_PRUNE_PROGRESS = FULL_BUDGET * 3 // 10
"""Judgments in the first third, of which the warmup is a part, say little."""

PRUNE_MARGIN = 0.02
"""Fraction of the loss by which it must be behind at the end: more than the seed decides."""


class MaxGainPruner(BasePruner):
    """Prunes a trial that the largest gain of the finished ones would not make the best."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether `trial` should end, as the finished trials of `study` went."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return should_prune(trial.intermediate_values, [t.intermediate_values for t in finished])


def should_prune(observed: Curve, finished: Sequence[Curve]) -> bool:
    """Return whether the trial with the judgments `observed` should end, as `finished` ones
    went."""
    whole = [curve for curve in finished if FULL_BUDGET in curve]
    now = max(observed)
    if len(whole) < MIN_FINISHED_TRIALS or now < MIN_PRUNE_PROGRESS:
        return False
    min_loss_ratio = min(curve[FULL_BUDGET] / loss_at(curve, now) for curve in whole)
    best = min(curve[FULL_BUDGET] for curve in whole)
    return observed[now] * min_loss_ratio > best * (1 + PRUNE_MARGIN)


def loss_at(curve: Curve, position: int) -> float:
    """Return the loss of `curve` at `position`: between two judgments in proportion."""
    positions = sorted(curve)
    return float(np.interp(position, positions, [curve[p] for p in positions]))

"""What is really wrong with each case: the treatments that gained most when they were tried.

The truth is a set: causes whose best treatment gains nearly as much as the best of all, and more
than noise. An empty set makes the case healthy, whatever was planted.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cases import PlantedRun
from table import Trained
from treatments import BY_CONSTRUCTION, TREATMENTS

WORTH = 0.01
"""Fraction of the loss that a treatment must gain at equal tokens."""
WORTH_BUYING = 0.03
"""The same where the treatment doubles training time or text: nearly every run gains a little
then."""
NOISE = 3.0
"""Standard deviations of paired differences between seeds that a gain must exceed."""
AS_GOOD = 0.1
"""Fraction of the best gain by which another may fall short and still be in the truth set."""
PRICE = 0.8
"""What a gain that doubles training time or text is worth beside one that costs nothing. Whoever
follows the free treatment first is right too, if it gains nearly that much."""
FALLBACK_DEVIATION = 0.004
"""Of paired relative differences, where a corpus has no repeated seeds: the median over those that
have (first guess: the spread of three seeds on tiny Shakespeare, 0.006 of 3.74 nats, twice)."""

CHANCE = ("hidden", "lexicon")
"""Corpora whose plain text is next to chance already: 0.02 nat under what frequencies reach, or
words in random order."""

BUYS = {r.cause for r in TREATMENTS if r.buys}


@dataclass(frozen=True)
class Truth:
    """`gains`: by cause the best treatment's fraction of the control's loss; no `causes`: healthy.
    `ambiguous`: what the trials do not tell from `causes`, by one standard error: causes whose gain
    is worth having but within noise, or `healthy` where the best gain only just is."""

    case: PlantedRun
    causes: frozenset[str]
    ambiguous: frozenset[str]
    gains: dict[str, float]
    control: float
    twin: float | None
    treatments: int

    @property
    def relabelled(self) -> bool:
        """Whether none of what was planted is in the truth."""
        planted_causes = set(self.case.planted) - {"noise_floor"}
        return bool(
            planted_causes - self.causes == planted_causes if planted_causes else self.causes
        )

    @property
    def accepted(self) -> frozenset[str]:
        """Verdicts that are right, or not wrong by anything measured."""
        return self.strict | self.ambiguous

    @property
    def strict(self) -> frozenset[str]:
        """Verdicts that are right."""
        if self.causes:
            return self.causes
        variant = self.case.variant
        chance = variant.kind.startswith("noisy") or variant.corpus in CHANCE
        floor = {"noise_floor"} if chance else set()
        return frozenset({"healthy"} | floor)


def deviations(rows: Iterable[Trained], corpus_of: dict[str, str]) -> dict[str, float]:
    """By corpus, the pooled deviation of relative paired gains between seeds."""
    losses: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for r in rows:
        losses[r.case, r.treatment][r.seed] = r.best
    squares: dict[str, list[float]] = defaultdict(list)
    for (case, treatment), by_seed in losses.items():
        control = losses.get((case, ""), {})
        gains = [(control[s] - b) / control[s] for s, b in by_seed.items() if s in control]
        if treatment not in ("", "twin") and len(gains) > 1 and case in corpus_of:
            squares[corpus_of[case]].append(statistics.variance(gains))
    return {corpus: math.sqrt(statistics.median(v)) for corpus, v in squares.items()}


def truths(cases: list[PlantedRun], rows: list[Trained]) -> list[Truth]:
    """The truth of every case whose treatments were all tried at least once."""
    by_case: dict[str, list[Trained]] = defaultdict(list)
    for r in rows:
        by_case[r.case].append(r)
    noise = deviations(rows, {c.name: c.variant.corpus for c in cases})
    usual = statistics.median(noise.values()) if noise else FALLBACK_DEVIATION
    labeled_cases = []
    for case in cases:
        own = by_case[case.name]
        control = {r.seed: r.best for r in own if r.treatment == ""}
        if not control:
            continue
        deviation = noise.get(case.variant.corpus, usual)
        labeled_cases.append(_truth(case, own, control, deviation))
    return labeled_cases


def _truth(
    case: PlantedRun, own: list[Trained], control: dict[int, float], deviation: float
) -> Truth:
    gains_by_treatment: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for r in own:
        if r.cause and r.seed in control and r.diverged_step is None:
            gains_by_treatment[r.treatment].append(
                (r.cause, (control[r.seed] - r.best) / control[r.seed])
            )
    gains: dict[str, float] = {}
    claimed: dict[str, float] = {}
    errors: dict[str, float] = {}
    for pairs in gains_by_treatment.values():
        cause = pairs[0][0]
        gain = statistics.mean(g for _, g in pairs)
        error = deviation / math.sqrt(len(pairs))
        if gain > gains.get(cause, -math.inf):
            gains[cause], errors[cause] = gain, error
        if gain > max(_worth(cause), NOISE * error) and gain > claimed.get(cause, 0.0):
            claimed[cause] = gain
    causes = {c for c, g in claimed.items() if g >= compute_min_gain(c, claimed) - errors[c]}
    ambiguous = _find_ambiguous(gains, claimed, errors)
    own_control = next((r for r in own if r.treatment == "" and r.seed == 0), None)
    fixed = _by_construction(case, own_control)
    if fixed:
        causes, ambiguous = fixed, {"healthy", *causes} if fixed == {"duplicate_data"} else set()
    twin = next((r.best for r in own if r.treatment == "twin" and r.seed == 0), None)
    first = control.get(0, statistics.mean(control.values()))
    tried = len(gains_by_treatment)
    return Truth(case, frozenset(causes), frozenset(ambiguous), gains, first, twin, tried)


def _find_ambiguous(
    gains: dict[str, float], claimed: dict[str, float], errors: dict[str, float]
) -> set[str]:
    worth = {c: g for c, g in gains.items() if g >= _worth(c) - errors[c] and g > 0}
    as_good = {c for c, g in worth.items() if g >= compute_min_gain(c, worth) - errors[c]} - {
        *claimed
    }
    best = max(claimed, key=lambda c: claimed[c], default=None)
    if best is not None and claimed[best] - _worth(best) < errors[best]:
        as_good.add("healthy")
    return as_good


def _worth(cause: str) -> float:
    return WORTH_BUYING if cause in BUYS else WORTH


def compute_min_gain(cause: str, claimed: dict[str, float]) -> float:
    """Gain from which `cause` is in the truth set: within `AS_GOOD` of the best, where what must
    be bought counts at its `PRICE` against what is free."""
    others = (
        gain * (PRICE if other in BUYS and cause not in BUYS else 1.0)
        for other, gain in claimed.items()
    )
    return (1 - AS_GOOD) * max(others, default=0.0)


def _by_construction(case: PlantedRun, control: Trained | None) -> set[str]:
    """Faults of the text show in no gain of a setting, or of none that can be tried here; a text
    of copies is that, whether or not more text would help much."""
    if control is not None and control.diverged_step is not None:
        return {"diverged"}
    return set(case.planted) & set(BY_CONSTRUCTION) - {"diverged"}

"""What each measurement is worth as evidence: weights of expectations, by maximum likelihood.

    python benchmarks/diagnosis/fit_signals.py RESULTS FOLDERS MEASUREMENTS

Of every labelled development case the measurements are taken (stored in the file MEASUREMENTS), and
the log-odds of all causes turned into probabilities as `descend diagnose --no-trials` does. Weights
are changed to make what is true likely, constrained near those that stand in `diagnosis/causes/`;
how near is chosen by leaving out one corpus at a time. Prints that, and the weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from scipy.optimize import minimize
from score import labelled

from descend.config import RunConfig, make_config
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.measure import measure_run
from descend.diagnosis.ranking import in_expected_range, softmax_probabilities
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.verdict import HEALTHY_SCORE, MEASURED_FROM, MEASURED_SCORE
from descend.metrics.measurement import Measurement, Measurements

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Of the pull towards the weights that stand: log-likelihood lost by one that moves by 1 nat."""
NAMES = [c.name for c in CAUSES]
EXPECTED = [(c.name, e) for c in CAUSES for e in c.expected_ranges]


@dataclass(frozen=True)
class ScoredCase:
    """One case: `score` (C + 1,) without what is fitted, `uses` (C + 1, K) of the K weights, and
    which of the C causes and `healthy`, the last, are `right` (C + 1,)."""

    corpus: str
    score: np.ndarray
    uses: np.ndarray
    right: np.ndarray


def standing() -> np.ndarray:
    """The weights as they are: inside and outside of each expectation, then each prior (K,)."""
    pairs = [(e.weight, e.penalty) for _, e in EXPECTED]
    return np.array([*(w for pair in pairs for w in pair), *(c.prior_log_odds for c in CAUSES)])


def score_case(
    corpus: str, config: RunConfig, signals: Measurements, accepted: frozenset[str]
) -> ScoredCase:
    """A case as numbers."""
    uses = np.zeros((len(NAMES) + 1, 2 * len(EXPECTED) + len(NAMES)))
    for place, (cause, e) in enumerate(EXPECTED):
        if e.metric in signals:
            within = in_expected_range(e, signals[e.metric])
            uses[NAMES.index(cause), 2 * place + (not within)] = 1.0 if within else -1.0
    score = np.zeros(len(NAMES) + 1)
    for row, cause in enumerate(CAUSES):
        uses[row, 2 * len(EXPECTED) + row] = 1.0
        if cause.measured_harm_nats(signals) >= MEASURED_FROM:
            score[row] += MEASURED_SCORE
        if cause.exclusion_reason(config, signals) is not None:
            score[row], uses[row] = -40.0, 0.0
    score[-1] = HEALTHY_SCORE
    right = np.array([name in accepted for name in [*NAMES, "healthy"]])
    return ScoredCase(corpus, score, uses, right)


def chances(case: ScoredCase, weights: np.ndarray) -> np.ndarray:
    """Probability of each cause and of `healthy` (C + 1,)."""
    *scores, healthy = (case.score + case.uses @ weights).tolist()
    return np.array(softmax_probabilities(scores, healthy))


def fitted(cases: Sequence[ScoredCase], start: np.ndarray, strength: float) -> np.ndarray:
    """The weights (K,), none of an expectation below 0."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(weights)
        for case in cases:
            p = chances(case, weights)
            hit = float(p[case.right].sum())
            total -= np.log(max(hit, 1e-12))
            better = np.where(case.right, p / max(hit, 1e-12), 0.0)
            slope += case.uses.T @ (p - better)
        away = weights - start
        return total + strength * float(away @ away), slope + 2 * strength * away

    # Signs that are rare by nature (absence says nothing) are known from larger runs, and kept.
    pairs = [
        [(start[2 * i], start[2 * i]), (0.0, 0.0)] if e.weight_outside == 0.0 else [(0.0, None)] * 2
        for i, (_, e) in enumerate(EXPECTED)
    ]
    bounds = [b for pair in pairs for b in pair] + [(None, None)] * len(NAMES)
    return np.asarray(minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x)


def accuracy(cases: Sequence[ScoredCase], weights: np.ndarray) -> float:
    """How often the likeliest is right."""
    return float(np.mean([c.right[chances(c, weights).argmax()] for c in cases]))


def likelihood(cases: Sequence[ScoredCase], weights: np.ndarray) -> float:
    """Mean log-probability of what is right (nats)."""
    log_likelihoods = [np.log(max(float(chances(c, weights)[c.right].sum()), 1e-12)) for c in cases]
    return float(np.mean(log_likelihoods))


def left_out(
    cases: Sequence[ScoredCase], start: np.ndarray, strength: float
) -> tuple[float, float]:
    """Accuracy and likelihood on corpora that the weights were not fitted to."""
    hits, log_likelihoods = [], []
    for corpus in sorted({c.corpus for c in cases}):
        own = [c for c in cases if c.corpus == corpus]
        weights = fitted([c for c in cases if c.corpus != corpus], start, strength)
        hits += [accuracy([c], weights) for c in own]
        log_likelihoods += [likelihood([c], weights) for c in own]
    return float(np.mean(hits)), float(np.mean(log_likelihoods))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("measurements", type=Path)
    args = parser.parse_args()
    labeled_cases, _ = labelled(args.results, "development")
    stored = json.loads(args.measurements.read_text()) if args.measurements.is_file() else {}
    cases = []
    for truth in labeled_cases:
        folder = args.folders / truth.case.name
        if truth.case.name not in stored and (folder / "run.json").is_file():
            print(f"reading {folder.name}", file=sys.stderr, flush=True)
            opened = load_run_context(folder)
            taken = measure_run(opened)
            stored[folder.name] = {
                "config": opened.config.model_dump(mode="json"),
                "measurements": msgspec.to_builtins(list(taken.values())),
            }
            args.measurements.write_text(json.dumps(stored), encoding="utf-8")
        if truth.case.name in stored:
            own = stored[truth.case.name]
            taken_again = {r["metric"]: Measurement(**r) for r in own["measurements"]}
            corpus = truth.case.variant.corpus
            config = make_config(own["config"])
            cases.append(score_case(corpus, config, taken_again, truth.accepted))
    start = standing()
    print(f"{len(cases)} cases; as they stand: {accuracy(cases, start):.3f} right, "
          f"{likelihood(cases, start):.3f} nats")  # fmt: skip
    tried = {s: left_out(cases, start, s) for s in STRENGTHS}
    for strength, (hits, log_likelihoods) in tried.items():
        print(
            f"pull {strength:5}: {hits:.3f} right, {log_likelihoods:.3f} nats on corpora left out"
        )
    best = max(tried, key=lambda s: tried[s][1])
    weights = fitted(cases, start, best)
    print(f"pull {best}: {accuracy(cases, weights):.3f} right on all")
    for place, (cause, e) in enumerate(EXPECTED):
        old, new = start[2 * place : 2 * place + 2], weights[2 * place : 2 * place + 2]
        print(
            f"{cause:24} {e.metric:22} {old[0]:.1f} / {old[1]:.1f} -> {new[0]:.1f} / {new[1]:.1f}"
        )
    for row, name in enumerate(NAMES):
        print(f"{name:24} prior {start[2 * len(EXPECTED) + row]:.1f} -> "
              f"{weights[2 * len(EXPECTED) + row]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()

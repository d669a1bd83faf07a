"""How often verdicts are right that are stated with some confidence, and maps that would fix it.

    python benchmarks/diagnosis/calibrate.py RESULTS

Reads the development half alone. A map is fitted on all corpora but one and scores on that one
(leave one corpus out). Writes RESULTS/calibration.json. `limit` is the map in use: what is stated
is scaled so that the most certain verdicts are stated as often as they are right
(`UNTESTED_PROBABILITY` in `descend.diagnosis.effect_ranking`).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from score import IN_THE_TEXT, MORE_TEXT, labelled, right
from table import Diagnosed, read

Floats = NDArray[np.float64]
CalibrationMap = Callable[[Floats], Floats]

READERS = ("diagnosis", "diagnosis, an earlier version")
"""The diagnosis with trials, the newest first: a case counts with the first that was asked."""
COUNTED = (IN_THE_TEXT - {MORE_TEXT}) | {"diverged", "bad_initialization"}
"""Causes that are counted and not tried. Their confidence is a constant of its own."""
STATED_LIMIT = 0.97
"""The highest confidence of a verdict by trial when the stored verdicts were made."""
CERTAIN = 0.9
BINS = (0.0, 0.4, 0.6, 0.8, CERTAIN, 1.01)
RIDGE = 5.0
"""Of the two numbers of Platt's map, around those of the map that changes nothing."""


def stated_and_right(results: Path) -> tuple[list[str], Floats, Floats]:
    """Of every verdict by trial its corpus, its stated confidence, and whether it is right."""
    cases, _ = labelled(results, "development")
    truth = {t.case.name: t for t in cases}
    verdicts: dict[str, Diagnosed] = {}
    for diagnosed in read(results / "verdicts-development.jsonl", Diagnosed):
        if diagnosed.case in truth and diagnosed.reader in READERS:
            before = verdicts.get(diagnosed.case)
            if before is None or READERS.index(diagnosed.reader) < READERS.index(before.reader):
                verdicts[diagnosed.case] = diagnosed
    rows = [
        (
            truth[case].case.variant.corpus,
            diagnosed.probabilities[0],
            _is_right(truth[case], diagnosed),
        )
        for case, diagnosed in verdicts.items()
        if diagnosed.verdict not in COUNTED | {"unknown"} and diagnosed.probabilities
    ]
    corpora, stated, hits = zip(*rows, strict=True)
    return list(corpora), np.array(stated), np.array(hits, float)


def _is_right(truth: Any, diagnosed: Diagnosed) -> bool:
    nothing = not truth.causes and diagnosed.verdict == "noise_floor"
    return right(truth, diagnosed) or nothing


def fit_limit(stated: Floats, hits: Floats) -> CalibrationMap:
    """All scaled by one number, that of the most certain verdicts (Laplace's rule)."""
    certain = hits[stated >= CERTAIN]
    limit = (certain.sum() + 1) / (len(certain) + 2)
    return lambda p: p / STATED_LIMIT * limit


def fit_platt(stated: Floats, hits: Floats) -> CalibrationMap:
    """A line through the log-odds (Platt 1999, with his targets), by Newton's method."""
    inputs, start = np.stack([np.ones_like(stated), _log_odds(stated)], 1), np.array([0.0, 1.0])
    ones, zeros = hits.sum(), (1 - hits).sum()
    targets = np.where(hits > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    weights = start.copy()
    for _ in range(50):
        predicted = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (predicted - targets) + RIDGE * (weights - start)
        bend = (inputs.T * (predicted * (1 - predicted))) @ inputs + RIDGE * np.eye(2)
        weights = weights - np.linalg.solve(bend, slope)
    return lambda p: 1 / (1 + np.exp(-(weights[0] + weights[1] * _log_odds(p))))


def fit_isotonic(stated: Floats, hits: Floats) -> CalibrationMap:
    """The best rising steps (pool adjacent violators), each smoothed by Laplace's rule."""
    blocks: list[tuple[float, int, list[float]]] = []
    for p in np.unique(stated):
        own = hits[stated == p]
        blocks.append((float(own.sum()), len(own), [float(p)]))
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            (a, n, xs), (b, m, ys) = blocks[-2], blocks[-1]
            blocks[-2:] = [(a + b, n + m, xs + ys)]
    at = [x for _, _, xs in blocks for x in xs]
    value = [(k + 1) / (n + 2) for k, n, xs in blocks for _ in xs]
    return lambda p: np.interp(p, at, value)


MAPS: dict[str, Callable[[Floats, Floats], CalibrationMap]] = {
    "limit": fit_limit, "platt": fit_platt, "isotonic": fit_isotonic,
}  # fmt: skip


def _log_odds(p: Floats) -> Floats:
    bounded = np.clip(p, 0.01, 0.995)
    return np.log(bounded / (1 - bounded))


def leave_one_corpus_out(name: str, corpora: list[str], stated: Floats, hits: Floats) -> Floats:
    """The confidence of each verdict by a map that was fitted on the other corpora."""
    groups, mapped = np.array(corpora), np.empty_like(stated)
    for corpus in set(corpora):
        own = groups == corpus
        mapped[own] = MAPS[name](stated[~own], hits[~own])(stated[own])
    return mapped


def reliability(p: Floats, hits: Floats) -> dict[str, Any]:
    """Log loss, Brier score, the mean distance of stated and right by bin, and the bins."""
    bounded = np.clip(p, 0.01, 0.99)
    bins, distance = [], 0.0
    for low, high in itertools.pairwise(BINS):
        own = (p >= low) & (p < high)
        if own.any():
            at, share = float(p[own].mean()), float(hits[own].mean())
            distance += float(own.mean()) * abs(at - share)
            bins.append({"stated": round(at, 3), "right": round(share, 3), "cases": int(own.sum())})
    return {
        "log_loss": round(float(-np.log(np.where(hits > 0, bounded, 1 - bounded)).mean()), 4),
        "brier": round(float(((bounded - hits) ** 2).mean()), 4),
        "distance": round(distance, 4),
        "bins": bins,
    }


def calibrate(results: Path) -> dict[str, Any]:
    """What is stated, and by every map, each scores on the corpora that it was not fitted to."""
    corpora, stated, hits = stated_and_right(results)
    certain = stated >= CERTAIN
    scores = {"as stated": reliability(stated, hits)}
    for name in MAPS:
        scores[name] = reliability(leave_one_corpus_out(name, corpora, stated, hits), hits)
    return {
        "cases": len(hits),
        "corpora": len(set(corpora)),
        "certain": [int(hits[certain].sum()), int(certain.sum())],
        "limit": round(float(fit_limit(stated, hits)(np.array([STATED_LIMIT]))[0]), 3),
        "reliability": scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    text = json.dumps(calibrate(results), indent=1)
    (results / "calibration.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

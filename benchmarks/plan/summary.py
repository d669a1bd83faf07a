"""How the plan compares, from the trials that were kept; no training.

    python benchmarks/plan/summary.py TRIALS OUT

TRIALS is the file of trials (benchmarks/results/plan/trials.jsonl). For each corpus and limit:
bits per byte of the plan that the package makes today, what it expects with its interval of 80 %,
of the best of the search if its twelve draws and four finals are all there, and of the fixed
configurations. What was not tried is null.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from corpora import REPORT_ONLY
from score import configurations, plan_of
from search import NUM_FINALISTS, draws

CORPORA = ("tinyshakespeare", "austen_100k", "moby_dick", "quijote", "library")
LIMITS = (20.0, 60.0, 120.0)

Trials = dict[tuple[str, float, str], float]


def read_trials(file: Path) -> Trials:
    """Bits per byte by corpus, limit and configuration."""
    trials_by_text: Trials = {}
    for line in file.read_text().splitlines():
        r = json.loads(line)
        trials_by_text[r["corpus"], r["seconds"], _key(r["values"])] = r["bits_per_byte"]
    return trials_by_text


def row(trials: Trials, corpus: str, limit: float) -> dict[str, Any]:
    """What was measured of one corpus at one limit."""
    tried = {
        name: trials.get((corpus, limit, _key(values)))
        for name, values in configurations(corpus, limit).items()
    }
    predicted = plan_of(corpus, limit).predicted
    return {
        "corpus": corpus, "seconds": limit, "report_only": corpus in REPORT_ONLY,
        "expected": predicted.bits_per_byte, "interval": predicted.bits_per_byte_interval, **tried,
        "search": searched(trials, corpus, limit),
    }  # fmt: skip


def searched(trials: Trials, corpus: str, limit: float) -> float | None:
    """The best trial of a search that was made to its end: on a small text it may be a draw."""
    keys = [_key(values) for values in draws(corpus)]
    first = [(trials.get((corpus, round(limit / 3, 1), key)), key) for key in keys]
    tried = sorted((bits, key) for bits, key in first if bits is not None)
    finals = [trials.get((corpus, limit, key)) for _, key in tried[:NUM_FINALISTS]]
    if len(tried) < len(keys) or None in finals:
        return None
    return min(bits for bits in [*finals, *(bits for bits, _ in tried)] if bits is not None)


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def outside(made: list[dict[str, Any]]) -> list[str]:
    """The plans that ended outside the interval that was reported."""
    return [called(r) for r in made if not r["interval"][0] <= r["plan"] <= r["interval"][1]]


def called(r: dict[str, Any]) -> str:
    return f"{r['corpus']}, {r['seconds']:g}"


def main() -> None:
    trials, out = read_trials(Path(sys.argv[1])), Path(sys.argv[2])
    rows = [row(trials, corpus, limit) for limit in LIMITS for corpus in CORPORA]
    made = [r for r in rows if r["plan"] is not None]
    summary = {
        "rows": rows,
        "median_error": statistics.median(abs(r["expected"] / r["plan"] - 1) for r in made),
        "inside_interval": len(made) - len(outside(made)),
        "of_plans": len(made),
        "outside_interval": outside(made),
        "behind_search": {
            called(r): r["plan"] / r["search"] - 1 for r in made if r["search"] is not None
        },
    }
    out.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()

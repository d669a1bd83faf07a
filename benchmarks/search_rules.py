"""Which rule ends trials that would have been among the best?

    python benchmarks/search_rules.py [RESULT]

Takes the finished trials of a recorded search, and asks of each, at each of its judgments from a
third of its budget on, whether it would have been ended had all the others been finished before it:
by the median rule (its best judgment so far against the median of theirs) and by that of
`descend.experiments.search.pruning`.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from descend.experiments.search.pruning import MIN_PRUNE_PROGRESS, Curve, loss_at, should_prune
from descend.experiments.search.search_result import FULL_BUDGET

RESULT = Path(__file__).parent / "results" / "search" / "median_rule.json"


def median_rule(observed: Curve, others: list[Curve]) -> bool:
    """Worse than half of the others at the same place."""
    now = max(observed)
    return now >= MIN_PRUNE_PROGRESS and min(observed.values()) > statistics.median(
        loss_at(other, now) for other in others
    )


RULES: dict[str, Callable[[Curve, list[Curve]], bool]] = {
    "median": median_rule,
    "hopeless": should_prune,
}


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULT
    tried = json.loads(file.read_text(encoding="utf-8"))["result"]["trials"]
    curves: list[Curve] = sorted(
        (
            {round(p * FULL_BUDGET): v for p, v in t["evaluations"]}
            for t in tried
            if t["state"] == "finished"
        ),
        key=lambda curve: curve[FULL_BUDGET],
    )
    print("rank  ended at  " + "  ".join(f"by {rule}" for rule in RULES))
    for rank, curve in enumerate(curves, 1):
        others = [other for other in curves if other is not curve]
        ended = [ended_at(rule, curve, others) for rule in RULES.values()]
        cells = "  ".join(
            ("-" if at is None else f"{at / FULL_BUDGET:.0%}").rjust(3 + len(rule))
            for rule, at in zip(RULES, ended, strict=True)
        )
        print(f"{rank:4}  {curve[FULL_BUDGET]:8.3f}  {cells}")


def ended_at(
    rule: Callable[[Curve, list[Curve]], bool], curve: Curve, others: list[Curve]
) -> int | None:
    """Where `rule` ends it, in thousandths of its budget; None if it is let go on to its end."""
    for now in sorted(curve)[:-1]:
        if rule({p: v for p, v in curve.items() if p <= now}, others):
            return now
    return None


if __name__ == "__main__":
    main()

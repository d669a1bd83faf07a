"""The committed attributions reckoned anew from their runs, without training.

    python benchmarks/attribution.py RESULTS/attribute/FILE.json …

For when descend reads more out of the same runs than it did when they were made, or says another
thing of it. A file with numbers of shares that would change is left as it is, and said: its runs
are another experiment's then.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

from descend.config import make_config
from descend.experiments.attribute.result import Attribution, AttributionRun
from descend.experiments.attribute.runner import (
    AttributionDesign,
    compute_attribution,
    design_attribution,
)
from descend.experiments.named_config import NamedConfig
from descend.presets import PRESETS
from descend.report.text.experiment_summary import summarize_attribution
from descend.trials.trial_spec import TrialResult


def reckoned(record: dict[str, Any]) -> Attribution:
    """What the runs of `record` say today; `KeyError` for runs that its command does not make."""
    kept = msgspec.convert(record["result"], Attribution)
    words = shlex.split(record["command"])
    runs = int(words[words.index("--max-runs") + 1])
    pair = [NamedConfig(name, make_config(PRESETS[name])) for name in (kept.a, kept.b)]
    plan = design_attribution(
        *pair, seeds=len(kept.seeds), runs=runs, train_fraction=kept.train_fraction,
        evaluation_tokens=kept.evaluation_tokens,
    )  # fmt: skip
    made = {(run.seed, frozenset(run.changed)): outcome_of(run) for run in kept.runs}
    found = compute_attribution(
        plan, {one: made[named(plan, *one)] for one in plan.required_runs()}
    )
    found = msgspec.structs.replace(found, corpus=kept.corpus, base=kept.base)
    return msgspec.structs.replace(found, sentence=summarize_attribution(found))


def named(
    plan: AttributionDesign, seed: int, members: frozenset[int]
) -> tuple[int, frozenset[str]]:
    return seed, frozenset(plan.changes[number].name for number in members)


def outcome_of(run: AttributionRun) -> TrialResult:
    """As much of a run as shares are made of; presets have one vocabulary."""
    return TrialResult(
        key="", steps=run.steps, tokens=run.tokens, train_tokens=0, vocab_size=0, parameters=0,
        seconds=run.seconds, peak_bytes=None, curve=[], validation_loss=run.validation_loss,
        accuracy=run.accuracy, bits_per_byte=run.bits_per_byte,
        diverged_step=run.steps if run.diverged else None, chunk_losses=[],
    )  # fmt: skip


def rounded(value: object) -> object:
    """`value` without the last digits, in which processors differ."""
    return json.loads(json.dumps(value), parse_float=lambda digits: round(float(digits), 9))


def holds(found: list[dict[str, Any]], kept: list[dict[str, Any]]) -> bool:
    """Whether the shares `found` say all that `kept` ones say; they may say more."""
    if len(found) != len(kept):
        return False
    told = [{key: now.get(key) for key in old} for now, old in zip(found, kept, strict=True)]
    return rounded(told) == rounded(kept)


def main() -> int:
    differing = 0
    for file in map(Path, sys.argv[1:]):
        record = json.loads(file.read_text(encoding="utf-8"))
        found = json.loads(msgspec.json.encode(reckoned(record)))
        found.pop("command")
        if not holds(found["contributions"], record["result"]["contributions"]):
            print(f"{file}: other shares than it holds; left as it is")
            differing += 1
            continue
        record |= {"result": found, "reckoned_by": "python benchmarks/attribution.py"}
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())

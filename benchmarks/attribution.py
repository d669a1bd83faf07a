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
from descend.experiments.attribute.attribution_result import Attribution, AttributionRun
from descend.experiments.attribute.attribution_trials import (
    AttributionDesign,
    compute_attribution,
    design_attribution,
)
from descend.experiments.named_config import NamedConfig
from descend.presets import PRESETS
from descend.report.text.experiment_summary import summarize_attribution
from descend.trials.trial_spec import TrialResult


def recompute(record: dict[str, Any]) -> Attribution:
    """What the runs of `record` say today; `KeyError` for runs that its command does not make."""
    stored = msgspec.convert(record["result"], Attribution)
    words = shlex.split(record["command"])
    runs = int(words[words.index("--max-runs") + 1])
    pair = [NamedConfig(name, make_config(PRESETS[name])) for name in (stored.a, stored.b)]
    plan = design_attribution(
        *pair, seeds=len(stored.seeds), runs=runs, train_fraction=stored.train_fraction,
        evaluation_tokens=stored.evaluation_tokens,
    )  # fmt: skip
    results = {(run.seed, frozenset(run.changed)): trial_result(run) for run in stored.runs}
    attribution = compute_attribution(
        plan, {one: results[run_key(plan, *one)] for one in plan.required_runs()}
    )
    attribution = msgspec.structs.replace(attribution, corpus=stored.corpus, base=stored.base)
    return msgspec.structs.replace(attribution, sentence=summarize_attribution(attribution))


def run_key(
    plan: AttributionDesign, seed: int, members: frozenset[int]
) -> tuple[int, frozenset[str]]:
    return seed, frozenset(plan.changes[number].name for number in members)


def trial_result(run: AttributionRun) -> TrialResult:
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


def has_same_shares(attribution: list[dict[str, Any]], stored: list[dict[str, Any]]) -> bool:
    """Whether the shares `found` say all that `kept` ones say; they may say more."""
    if len(attribution) != len(stored):
        return False
    shared_keys = [
        {key: now.get(key) for key in old} for now, old in zip(attribution, stored, strict=True)
    ]
    return rounded(shared_keys) == rounded(stored)


def main() -> int:
    differing = 0
    for file in map(Path, sys.argv[1:]):
        record = json.loads(file.read_text(encoding="utf-8"))
        attribution = json.loads(msgspec.json.encode(recompute(record)))
        attribution.pop("command")
        if not has_same_shares(attribution["contributions"], record["result"]["contributions"]):
            print(f"{file}: other shares than it holds; left as it is")
            differing += 1
            continue
        record |= {"result": attribution, "reckoned_by": "python benchmarks/attribution.py"}
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())

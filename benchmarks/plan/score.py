"""Scores `descend plan`: the planned run against a search and against two fixed configurations.

    python benchmarks/plan/score.py TEXTS OUT CORPORA LIMIT [SECONDS]

For each corpus, at LIMIT reference seconds (see `trial.py`): the plan, made from `samples.json` and
`rates.json` by the outlook that comes with the package; the `guide` preset cut to the limit; and a
configuration like nanoGPT's for tiny Shakespeare. Trials are kept in OUT/trials, as those of
`search.py`; with SECONDS it stops after the trial in which these are over, to be taken up again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import msgspec
from corpora import corpus_file
from search import show
from trial import HERE, trial
from trial_args import parse_trial_args

from descend.config import make_config
from descend.planner.candidates import SAVING_FRACTION
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.make_plan import choose_planned_dropouts
from descend.planner.plan import TrainingPlan, choose_config
from descend.planner.scaling_law import load_scaling_law
from descend.planner.step_time import StepTimeModel
from descend.presets import PRESETS

NANOGPT = {
    "architecture": "gpt", "optimizer": "adamw", "embed_dim": 128, "num_heads": 4, "num_layers": 4,
    "ff_dim": 512, "max_seq_len": 64, "seq_len": 64, "batch_size": 12, "learning_rate": 0.001,
    "schedule": "cosine", "warmup_steps": 100, "weight_decay": 0.1, "dropout_rate": 0.0,
    "vocab_size": 4096, "seed": 1,
}  # fmt: skip
"""What nanoGPT's README gives for a processor: `--n_layer=4 --n_head=4 --n_embd=128 --block_size=64
--batch_size=12 --dropout=0.0`, on pieces of the guide's vocabulary instead of characters."""


def plan_of(corpus: str, limit: float) -> TrainingPlan:
    """The plan for reference seconds of pure training: saving and judging are not counted here."""
    samples = json.loads((HERE / "samples.json").read_text())
    rates = StepTimeModel(**json.loads((HERE / "rates.json").read_text())["rates"])
    sample = msgspec.convert(samples[corpus], type=CorpusProfile, strict=False)
    # Nothing held out: judging then costs nothing, as in the trials.
    sample = msgspec.structs.replace(sample, validation_bytes=0)
    return choose_config(sample, rates, load_scaling_law(), limit / 60 / (1 - SAVING_FRACTION))


def configurations(corpus: str, limit: float) -> dict[str, dict[str, Any]]:
    """What is tried at this limit, by name."""
    guide = {k: v for k, v in PRESETS["guide"].items() if k not in ("epoch", "precision")}
    plan = plan_of(corpus, limit)
    open_keys = choose_planned_dropouts(make_config(plan.config), plan)
    return {
        "plan": plan.config | open_keys | {"seed": 1},
        "guide": guide | {"seed": 1},
        "nanogpt": NANOGPT,
    }


def main() -> None:
    args = parse_trial_args()
    for corpus in args.corpora:
        text = corpus_file(corpus, args.texts, args.out / "texts")
        for name, values in configurations(corpus, args.limit).items():
            if args.is_over:
                return
            print(name, end="  ")
            show(trial(args.trials, corpus, text, values, args.limit))


if __name__ == "__main__":
    main()

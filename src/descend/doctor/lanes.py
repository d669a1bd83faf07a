"""From a change to the run that tries it: what differs from the control, and what may not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from descend.config import RunConfig, make_config
from descend.doctor.case import RecordedRun
from descend.doctor.cause import TreatmentChange
from descend.runs.folder import TOKENIZER
from descend.settings import with_changes
from descend.text.store import prepare_documents, prepare_tokens
from descend.training.job import load_or_train_tokenizer
from descend.training.recipe import WARMUP_FRACTION
from descend.trials.arms import EVALUATION_TOKENS, TrialSpec, make_trial_spec
from descend.trials.statistics import MIN_EFFECT_NATS, MIN_RELATIVE_EFFECT

NUM_EVALUATIONS = 6
"""Looks at the held-out text where the run makes several passes: the best is what is kept."""

SEVERAL_PASSES = 2.0
"""Passes over the text within a trial from which it may be past its best before its end."""
LEAST_JUDGED, JUDGED_SHARE = 8_192, 0.25
"""Held-out tokens that a trial is judged on: a quarter of those it trains on, between these and
`EVALUATION_TOKENS`. Both sides are judged on the same, so fewer will do for a difference."""

RESIZING = {"batch_size", "seq_len", "epoch", "max_steps"}
"""Keys that give a run another number of steps."""


@dataclass(frozen=True)
class Treatment:
    """A change of one cause: one runner of a race, known by its label."""

    cause: str
    change: TreatmentChange
    is_costly: bool = False
    """As of its cause: it costs training time or text, and helps nearly every run a little."""

    def __hash__(self) -> int:
        return hash((self.cause, self.change.label))

    @property
    def cost_doublings(self) -> float:
        """How often it doubles what is spent: four times the steps do it twice. 0 where it is
        free."""
        return max(1.0, math.log2(self.change.steps)) if self.is_costly else 0.0

    @property
    def cost_weight(self) -> float:
        """What a nat that it gains is worth."""
        return float(COSTLY_EFFECT_WEIGHT**self.cost_doublings)


COSTLY_EFFECT_WEIGHT = 0.8
"""What a nat is worth that costs as much time or text again, against one that is free. First
guess."""

LEAST_SHARE_OF_LITTLE = 0.01
"""Of the loss, in place of `LEAST_NATS` where a token carries under a nat: a hundredth of a nat
would be a large part of it there."""
MIN_RELATIVE_COSTLY_EFFECT = 0.03
"""Of the loss, that a remedy must gain which costs as much time or text again: nearly every run
gains a little by more. Origin: healthy tiny runs gain up to 3 % by twice the passes
(benchmarks/results/diagnosis); that of the benchmark's labels too."""


def min_effect_nats(lane: Treatment, loss: float) -> float:
    """Nats from which a gain of `lane` over a control of that `loss` is worth a word."""
    free = max(MIN_RELATIVE_EFFECT * loss, min(MIN_EFFECT_NATS, LEAST_SHARE_OF_LITTLE * loss))
    return max(free, MIN_RELATIVE_COSTLY_EFFECT * loss * lane.cost_doublings)


def control_config(case: RecordedRun) -> RunConfig:
    """The run's own settings as a trial takes them: its very tokenizer, and as it computed."""
    keys: dict[str, Any] = {
        "vocab_path": str((case.folder / TOKENIZER).resolve()),
        "precision": case.execution.precision,
        "device": case.execution.device if case.execution.device == "cpu" else "auto",
        # How attention was computed stays as asked: what was quickest that day rounds otherwise,
        # and a trial is to come out the same for the same run made again.
        "compile": "auto",
        "threads": None,
        "save_dir": None,
    }
    return make_config(case.config.model_dump() | keys)


def make_treatment_spec(case: RecordedRun, base: RunConfig, change: TreatmentChange | None, steps: int, seed: int) -> TrialSpec:
    """The run that tries `change` on `base`, as long as `steps` steps of the run examined.

    Equal tokens: a step of another size changes the number of steps. Where the vocabulary
    changes, equal bytes. Warmup keeps its share of the run.
    """
    config = with_changes(base, change.keys if change else {})
    tokens = steps * case.tokens_per_step * (change.steps if change else 1.0)
    if change is not None and "vocab_size" in change.keys:
        tokens *= _tokens_for_the_same_bytes(case, config)
    count = max(1, round(tokens / (config.batch_size * config.seq_len)))
    assert case.store is not None
    passes = tokens / len(case.store.train)
    own = steps * case.tokens_per_step
    return make_trial_spec(
        make_config(_as_long(case, config, count).model_dump() | {"seed": seed}),
        steps=count,
        train_share=change.train_share if change else 1.0,
        evaluate_every=max(1, count // NUM_EVALUATIONS) if passes > SEVERAL_PASSES else None,
        evaluation_tokens=min(EVALUATION_TOKENS, max(LEAST_JUDGED, round(JUDGED_SHARE * own))),
        parent=case.info.parent,
    )


def _as_long(case: RecordedRun, config: RunConfig, steps: int) -> RunConfig:
    """`config` with the warmup that fits so many steps."""
    warmup = round(_warmup_share(case, config) * steps)
    return make_config(config.model_dump() | {"warmup_steps": warmup})


def _warmup_share(case: RecordedRun, config: RunConfig) -> float:
    """Share of a run of `config` that its rate rises: as of the run examined, whose steps
    `warmup_steps` counts; the usual share where it is left open."""
    if config.warmup_steps is None:
        return WARMUP_FRACTION
    return config.warmup_steps / max(case.total_steps, 1)


def _tokens_for_the_same_bytes(case: RecordedRun, config: RunConfig) -> float:
    """Tokens of the same text under the tokenizer of `config`, over those of the run's own."""
    assert case.store is not None
    text = prepare_documents(config)
    other = prepare_tokens(text, load_or_train_tokenizer(config, text))
    return len(other.train) / max(len(case.store.train), 1)


def recommended_changes(
    case: RecordedRun, base: RunConfig, change: TreatmentChange, longer: float = 1.0
) -> dict[str, Any]:
    """The keys of `change` that differ from the run's own, as they are for a run of full length.

    A full run of `base` is `longer` times as long as the run examined.
    """
    wanted = with_changes(base, change.keys)
    tokens = case.total_steps * case.tokens_per_step * longer * change.steps
    if case.config.max_steps and wanted.vocab_size != case.config.vocab_size:
        tokens *= _tokens_for_the_same_bytes(case, wanted)
    steps = max(1, round(tokens / (wanted.batch_size * wanted.seq_len)))
    own = case.config.model_dump()
    before = base.model_dump()  # where a remedy in place set it, back to the run's own is a change
    keys = {
        k: v for k, v in change.keys.items()
        if k != "vocab_path" and (own[k] != v or before[k] != v)
    }  # fmt: skip
    if case.config.max_steps and (RESIZING | {"vocab_size"}) & keys.keys():
        # The run ends there, whatever its epochs say: more of those would change nothing.
        keys.pop("epoch", None)
        keys["max_steps"] = steps
    if "warmup_steps" in keys and keys["warmup_steps"] is None:
        keys["warmup_steps"] = round(WARMUP_FRACTION * steps)
    elif RESIZING & keys.keys() and not _left_open(case, base):
        # Warmup keeps its share of a run that now has another number of steps: that of `base`,
        # whose remedy may have been another warmup.
        keys["warmup_steps"] = round(_warmup_share(case, base) * steps)
    return keys


def _left_open(case: RecordedRun, base: RunConfig) -> bool:
    """Whether a run of another length finds its warmup by itself: none, or the usual share where
    the run examined did not say and no remedy does."""
    if base.warmup_steps != case.config.warmup_steps:
        return False
    return not case.config.warmup_steps or case.info.requested_config.get("warmup_steps") is None

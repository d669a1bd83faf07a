"""From a change to the run that tries it: what differs from the control, and what may not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from descend.config import RunConfig, make_config
from descend.config_sources import with_changes
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.run_context import RunContext
from descend.runs.run_files import TOKENIZER
from descend.training.assembly import tokenize_corpus
from descend.training.recipe import WARMUP_FRACTION
from descend.trials.paired_stats import MIN_EFFECT_NATS, MIN_RELATIVE_EFFECT
from descend.trials.trial_spec import EVALUATION_TOKENS, TrialSpec, make_trial_spec

NUM_EVALUATIONS = 6
"""Looks at the validation text where the run makes several passes: the best is what is kept."""

SEVERAL_EPOCHS = 2.0
"""Passes over the text within a trial from which it may be past its best before its end."""
MIN_EVALUATION_TOKENS, EVALUATION_TOKEN_FRACTION = 8_192, 0.25
"""Validation tokens that a trial is judged on: a quarter of those it trains on, between these and
`EVALUATION_TOKENS`. Both sides are judged on the same, so fewer will do for a difference."""

RESIZING = {"batch_size", "seq_len", "epoch", "max_steps"}
"""Keys that give a run another number of steps."""


@dataclass(frozen=True)
class Treatment:
    """A change of one cause: one treatment of a trial series, known by its label."""

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
    def doublings_worth(self) -> float:
        """What all doublings up to one whole epoch gain, in units of what this change gains (1 and
        up): of text that was not read, more than one doubling is to be had.

        By L(n) = E + A n^-a each doubling gains 2^-a of the one before.
        """
        change = self.change
        if change.whole_epoch_steps is None or change.steps <= 1:
            return 1.0
        ratio = 2.0**-DOUBLING_EXPONENT
        done = 1 - math.pow(ratio, math.log2(change.steps))
        whole = 1 - math.pow(ratio, math.log2(change.whole_epoch_steps))
        return max(1.0, whole / done)

    @property
    def cost_weight(self) -> float:
        """What a nat that it gains is worth."""
        return float(COSTLY_EFFECT_WEIGHT**self.cost_doublings)


DOUBLING_EXPONENT = 0.5
"""a of L(n) = E + A n^-a. Steeper than that of tokens in large models (0.28, Hoffmann et al. 2022),
so that less is expected of later doublings, not more."""

COSTLY_EFFECT_WEIGHT = 0.8
"""What a nat is worth that costs as much time or text again, against one that is free. A
rule of thumb: the replay shows no difference (benchmarks/results/diagnosis/ablation.json)."""

MIN_RELATIVE_EFFECT_AT_LOW_LOSS = 0.01
"""Of the loss, in place of `LEAST_NATS` where a token carries under a nat: a hundredth of a nat
would be a large part of it there."""
MIN_RELATIVE_COSTLY_EFFECT = 0.03
"""Of the loss, that a treatment must gain which costs as much time or text again: nearly every run
gains a little by more. Origin: healthy tiny runs gain up to 3 % by twice the passes
(benchmarks/results/diagnosis); that of the benchmark's labels too."""


def min_effect_nats(treatment: Treatment, loss: float) -> float:
    """Return nats from which a gain of `treatment` over a control of that `loss` is worth a
    word."""
    free = max(
        MIN_RELATIVE_EFFECT * loss, min(MIN_EFFECT_NATS, MIN_RELATIVE_EFFECT_AT_LOW_LOSS * loss)
    )
    costly = MIN_RELATIVE_COSTLY_EFFECT * loss * treatment.cost_doublings
    return max(free, costly / treatment.doublings_worth)


def control_config(recorded_run: RunContext) -> RunConfig:
    """Return the run's own settings as a trial takes them: its very tokenizer, and as it
    computed."""
    keys: dict[str, Any] = {
        "vocab_path": str((recorded_run.folder / TOKENIZER).resolve()),
        "precision": recorded_run.execution.precision,
        "device": recorded_run.execution.device
        if recorded_run.execution.device == "cpu"
        else "auto",
        # How attention was computed stays as requested: the fastest of that day rounds otherwise,
        # and a trial is to come out the same for the same run made again.
        "compile": "auto",
        "threads": None,
        "save_dir": None,
    }
    return make_config(recorded_run.config.model_dump() | keys)


def make_treatment_spec(
    recorded_run: RunContext,
    base: RunConfig,
    change: TreatmentChange | None,
    steps: int,
    seed: int,
) -> TrialSpec:
    """Return the run that tries `change` on `base`, as long as `steps` steps of the run examined.

    Equal tokens: a step of another size changes the number of steps. Where the vocabulary
    changes, equal bytes. Warmup keeps its fraction of the run.
    """
    config = with_changes(base, change.keys if change else {})
    tokens = steps * recorded_run.tokens_per_step * (change.steps if change else 1.0)
    if change is not None and "vocab_size" in change.keys:
        tokens *= _tokens_for_the_same_bytes(recorded_run, config)
    count = max(1, round(tokens / (config.batch_size * config.seq_len)))
    assert recorded_run.store is not None
    num_epochs = tokens / len(recorded_run.store.train)
    return make_trial_spec(
        make_config(_as_long(recorded_run, config, count).model_dump() | {"seed": seed}),
        steps=count,
        train_fraction=change.train_fraction if change else 1.0,
        evaluate_every=max(1, count // NUM_EVALUATIONS) if num_epochs > SEVERAL_EPOCHS else None,
        evaluation_tokens=count_evaluation_tokens(steps * recorded_run.tokens_per_step),
        parent=recorded_run.metadata.parent,
    )


def count_evaluation_tokens(trained_tokens: int) -> int:
    """Return the maximum number of validation tokens for trials, from the tokens that the control
    trains on."""
    fraction = round(EVALUATION_TOKEN_FRACTION * trained_tokens)
    return min(EVALUATION_TOKENS, max(MIN_EVALUATION_TOKENS, fraction))


def _as_long(recorded_run: RunContext, config: RunConfig, steps: int) -> RunConfig:
    """Return `config` with the warmup that fits so many steps."""
    warmup = round(_warmup_fraction(recorded_run, config) * steps)
    return make_config(config.model_dump() | {"warmup_steps": warmup})


def _warmup_fraction(recorded_run: RunContext, config: RunConfig) -> float:
    """Return the fraction of a run of `config` that its rate rises: as of the run examined, whose
    steps `warmup_steps` counts; the usual share where it is left open."""
    if config.warmup_steps is None:
        return WARMUP_FRACTION
    return config.warmup_steps / max(recorded_run.total_steps, 1)


def _tokens_for_the_same_bytes(recorded_run: RunContext, config: RunConfig) -> float:
    """Return tokens of the same text under the tokenizer of `config`, over those of the run's
    own."""
    assert recorded_run.store is not None
    return len(tokenize_corpus(config).train) / max(len(recorded_run.store.train), 1)


def up_to_whole_epoch(change: TreatmentChange) -> TreatmentChange:
    """Return `change` at the length that is recommended on its ground: one whole epoch at least,
    where the run read only a part of its text."""
    return msgspec.structs.replace(change, steps=max(change.steps, change.whole_epoch_steps or 0.0))


def recommended_changes(
    recorded_run: RunContext, base: RunConfig, change: TreatmentChange, longer: float = 1.0
) -> dict[str, Any]:
    """Return the keys of `change` that differ from the run's own, as they are for a run of full
    length.

    A full run of `base` is `longer` times as long as the run examined.
    """
    treatment_config = with_changes(base, change.keys)
    tokens = recorded_run.total_steps * recorded_run.tokens_per_step * longer * change.steps
    if (
        recorded_run.config.max_steps
        and treatment_config.vocab_size != recorded_run.config.vocab_size
    ):
        tokens *= _tokens_for_the_same_bytes(recorded_run, treatment_config)
    steps = max(1, round(tokens / (treatment_config.batch_size * treatment_config.seq_len)))
    own = recorded_run.config.model_dump()
    before = base.model_dump()  # a key that a treatment set, back to the run's own, is a change
    keys = {
        k: v for k, v in change.keys.items()
        if k != "vocab_path" and (own[k] != v or before[k] != v)
    }  # fmt: skip
    if recorded_run.config.max_steps and (RESIZING | {"vocab_size"}) & keys.keys():
        # The run ends there, whatever its epochs say: more of those would change nothing.
        keys.pop("epoch", None)
        keys["max_steps"] = steps
    if "warmup_steps" in keys and keys["warmup_steps"] is None:
        keys["warmup_steps"] = round(WARMUP_FRACTION * steps)
    elif RESIZING & keys.keys() and not _adapts_warmup(recorded_run, base):
        # Warmup keeps its fraction of a run that now has another number of steps: that of `base`,
        # whose treatment may have been another warmup.
        keys["warmup_steps"] = round(_warmup_fraction(recorded_run, base) * steps)
    return keys


def _adapts_warmup(recorded_run: RunContext, base: RunConfig) -> bool:
    """Return whether a run of another length finds its warmup by itself: none, or the usual share
    where the run examined did not say and no treatment does."""
    if base.warmup_steps != recorded_run.config.warmup_steps:
        return False
    return (
        not recorded_run.config.warmup_steps
        or recorded_run.metadata.requested_config.get("warmup_steps") is None
    )

"""A loss that exploded and stayed finite: seen at the end of an epoch, with or without rollback.

A model that predicts worse than guessing by a nat, at the end of its run or for many steps on end,
has not learned little: its training failed.
"""

from __future__ import annotations

import math

from descend.config import RunConfig
from descend.errors import DivergedError
from descend.runs.suggestions import DEFAULT_RATE, FAR_ABOVE
from descend.training.nonfinite import NONFINITE_FIX
from descend.training.rollback import MIN_SPIKE_NATS, SPIKE_PATIENCE_STEPS
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState, last_step

CONTINUED = 2.0
"""Times the loss of guessing that a model may begin with on a text unlike its own, where a trained
one is sure of the wrong tokens."""


def loss_of_explosion(vocab_size: int, continued: bool = False) -> float:
    """Return the loss (nats per token) above which a run has exploded: a nat over that of
    guessing."""
    return (CONTINUED if continued else 1.0) * math.log(vocab_size) + MIN_SPIKE_NATS


def note_explosion(state: TrainState, loss: float, limit: float) -> None:
    """Remember since which step the training loss has been above `limit`."""
    if loss <= limit:
        state.recent.exploded_at = None
    elif state.recent.exploded_at is None:
        state.recent.exploded_at = state.step + 1


def has_exploded(state: TrainState, plan: TrainPlan, validation_loss: float) -> bool:
    """Return whether the run, at the end of an epoch, is worse than guessing for good.

    Training and validation loss must both be: at the last step, or after `SPIKE_PATIENCE_STEPS`
    steps in a row of such a training loss. A validation loss alone that is worse than guessing is
    the mark of overfitting, where the model is sure of the wrong tokens. That takes more than one
    epoch.
    """
    since = state.recent.exploded_at
    if validation_loss <= plan.diverged_above:
        return False
    if since is None:
        is_first = plan.batches.completed_epochs(state.step) <= 1
        return is_first and state.step >= last_step(state, plan.total_steps)
    lasting = state.step - since >= SPIKE_PATIENCE_STEPS
    return lasting or state.step >= last_step(state, plan.total_steps)


def name_probable_cause(config: RunConfig) -> str:
    """Return why a run diverged, by its settings alone; empty where they are usual."""
    if config.peak_learning_rate > FAR_ABOVE * DEFAULT_RATE:
        return (
            f"the learning_rate of {config.peak_learning_rate:g} is probably too high "
            f"(the default is {DEFAULT_RATE:g}): "
        )
    if not config.gradient_clip:
        return "gradients are not clipped, which is the probable cause: "
    if config.precision == "float16":
        return "float16 cannot hold large numbers, which is the probable cause: "
    return ""


def describe_explosion(state: TrainState, validation_loss: float, epoch: int) -> DivergedError:
    """Return the error for it, naming the first step."""
    step = state.recent.exploded_at or state.step
    guessing = math.log(state.model.shape.vocab_size)
    return DivergedError(
        f"step {step} (epoch {epoch})",
        f"a loss that exploded, to {validation_loss:.4g} at the end of the epoch",
        f"less than the {guessing:.1f} of guessing",
        NONFINITE_FIX,
    )

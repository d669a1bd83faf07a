"""A run that memorizes its text: when that shows, and how it ends then.

The validation loss rises while the training loss falls. More steps at that rate make it
worse, but the weights of the best epoch have not been decayed yet: with the rate let fall to zero
from there, they gain once more (benchmarks/results/recipe/overfitting.txt). So the run goes back to
them and ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from descend.runs.events import OVERFITTING_RISE, Epoch, Overfitting
from descend.training.train_plan import TrainPlan
from descend.training.train_state import Decay, RecentLosses, TrainState, load_weights

CLEAR_RISE = 0.1
"""Nats from which one epoch is enough; else two in a row must stand above the best."""
DECAY_FRACTION = 0.5
"""Of the steps up to the best epoch, that the rate falls over then: as in the default schedule the
decay is as long as a third of the run."""


RATE_FRACTION = 0.1
"""Of the rate at the best epoch, that the decay begins with: from a half of it nothing was gained,
from a fifth and from seven hundredths 0.04 to 0.07 nats (the same file)."""


def find_overfitting(epochs: Sequence[Epoch]) -> Epoch | None:
    """Return the best of `epochs`, where those after it rose above it while the training loss
    fell."""
    if len(epochs) < 2:
        return None
    best = min(epochs, key=lambda e: e.validation_loss)
    return best if _is_overfitting(best, epochs[-2], epochs[-1]) else None


def _is_overfitting(best: Epoch, before: Epoch, last: Epoch) -> bool:
    """Return whether `last` stands clearly, or like `before` it lastingly, above the best epoch."""
    rise = last.validation_loss - best.validation_loss
    lasting = (
        before is not best and before.validation_loss > best.validation_loss + OVERFITTING_RISE
    )
    return rise > (OVERFITTING_RISE if lasting else CLEAR_RISE) and last.loss_end < best.loss_end


def update_overfitting(
    overfitting: Overfitting | None, epochs: Sequence[Epoch]
) -> Overfitting | None:
    """Return `overfitting` as it stands after `epochs`, so that it names the epoch whose weights
    are kept.

    A run that trained on may reach a better epoch: then the rise after that one counts, if any.
    """
    if overfitting is None or overfitting.decay_steps:
        return overfitting
    best = min(epochs, key=lambda e: e.validation_loss)
    if best.epoch == overfitting.best_epoch:
        return overfitting
    first = epochs.index(best)
    for before, last in zip(epochs[first:], epochs[first + 1 :], strict=False):
        if _is_overfitting(best, before, last):
            return Overfitting(
                last.step, last.epoch, last.validation_loss, best.epoch, best.validation_loss, 0
            )
    return None


def begin_decay(state: TrainState, plan: TrainPlan, best: Epoch, steps: int) -> None:
    """Put `state` back to the weights of `best`, from where the rate falls to zero in `steps`."""
    assert state.best is not None
    load_weights(state.model, state.best.weights)
    for optimizer in state.optimizers:
        optimizer.state.clear()
    state.rollback_snapshot, state.recent = None, RecentLosses()
    rate = RATE_FRACTION * plan.learning_rate(best.step - 1)
    state.decay = Decay(state.step, steps, rate)


def react_to_overfitting(
    state: TrainState, plan: TrainPlan, epochs: Sequence[Epoch], free: bool
) -> Overfitting | None:
    """Return what is to be said after the last of `epochs`; with `free`, the number of epochs is
    not the user's and the run goes into its last decay, or ends if it is in it."""
    best, last = find_overfitting(epochs), epochs[-1]
    if best is None or state.decay or state.step >= plan.total_steps:
        return None
    per_epoch = plan.batches.steps(1)
    steps = 0
    if free:
        steps = min(max(per_epoch, round(DECAY_FRACTION * best.step)),
                    plan.total_steps - state.step)  # fmt: skip
        begin_decay(state, plan, best, steps)
    return Overfitting(
        state.step, last.epoch, last.validation_loss, best.epoch, best.validation_loss, steps
    )

"""How many steps a run makes: planned by its configuration, or announced by an event."""

from __future__ import annotations

from descend.config import RunConfig
from descend.data.window_grid import count_sequences, count_steps
from descend.runs.events import EndStepChosen, Event, Overfitting


def planned_steps(config: RunConfig, train_tokens: int) -> int:
    """Return the steps that the resolved `config` asks for, as `count_total_steps` does."""
    if config.max_steps:
        return config.max_steps
    sequences = count_sequences(train_tokens, config.seq_len)
    return count_steps(config.epoch or 1, sequences, config.batch_size)


def announced_end_step(event: Event) -> int | None:
    """Return the last step of the run if `event` sets it anew, else None."""
    if isinstance(event, EndStepChosen):
        return event.end_step
    if isinstance(event, Overfitting) and event.decay_steps:
        return event.step + event.decay_steps
    return None

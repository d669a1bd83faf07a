"""How many steps a run makes: planned by its configuration, or announced by an event."""

from __future__ import annotations

from descend.data.batches import count_sequences
from descend.runs.events import EndStepChosen, Event, Overfitting
from descend.runs.run_files import RunMetadata


def planned_steps(metadata: RunMetadata) -> int:
    """Return the steps that the resolved configuration asks for, as `count_total_steps` does."""
    config = metadata.resolved_config
    if config.get("max_steps"):
        return int(config["max_steps"])
    sequences = count_sequences(int(metadata.corpus["train_tokens"]), int(config["seq_len"]))
    return -(-int(config.get("epoch") or 1) * sequences // int(config["batch_size"]))


def announced_end_step(event: Event) -> int | None:
    """Return the last step of the run if `event` sets it anew, else None."""
    if isinstance(event, EndStepChosen):
        return event.end_step
    if isinstance(event, Overfitting) and event.decay_steps:
        return event.step + event.decay_steps
    return None

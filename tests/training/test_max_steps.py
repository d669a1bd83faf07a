"""A run that ends in the middle of a pass over the text."""

from __future__ import annotations

from typing import Any

from descend import run, run_on_model
from descend.runs.events import Epoch, Step


def test_max_steps_evaluates_partial_epoch_and_spans_schedule(
    tiny: dict[str, Any],
) -> None:
    whole = run(tiny, epoch=1)
    one_pass = len([r for r in whole.records if isinstance(r, Step)])
    num_steps = one_pass + one_pass // 2
    model = run(tiny, epoch=9, max_steps=num_steps)
    steps = [r for r in model.records if isinstance(r, Step)]
    epochs = [r for r in model.records if isinstance(r, Epoch)]
    assert len(steps) == num_steps
    assert [(e.epoch, e.step) for e in epochs] == [(1, one_pass), (2, num_steps)]
    assert model.info.resolved_config["epoch"] == 2
    # Means over a twentieth of the half pass: near its own steps, not near zero.
    last = [s.loss for s in steps[-(num_steps - one_pass) // 20 :]]
    assert min(last) * 0.9 < epochs[-1].loss_end < max(last) * 1.1
    peak = max(s.learning_rate for s in steps)
    assert steps[num_steps // 3].learning_rate == peak
    assert steps[-1].learning_rate < 0.05 * peak


def test_training_further_forgets_it(tiny: dict[str, Any]) -> None:
    model = run(tiny, max_steps=20)
    further = run_on_model(model.folder, epoch=1)
    assert further.info.requested_config["max_steps"] is None
    assert len([r for r in further.records if isinstance(r, Step)]) > 20

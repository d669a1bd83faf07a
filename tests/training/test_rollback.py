"""A run whose numbers run away goes back, changes one thing, and trains on; one at a time."""

from __future__ import annotations

import hashlib
import itertools
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.cli.main import run as command_line
from descend.config import make_config
from descend.errors import DivergedError, RunFolderError
from descend.runs.event_log import EventLog, read_events
from descend.runs.events import (
    SCHEMA,
    CheckpointSaved,
    Epoch,
    Event,
    Rollback,
    Sample,
    Step,
    TrainingStarted,
    TrainingStopped,
)
from descend.runs.run_folder import read_summary
from descend.training.loop import train
from descend.training.rollback import (
    LR_FACTORS,
    MIN_SPIKE_NATS,
    SPIKE_PATIENCE_STEPS,
    check_for_loss_spike,
)
from descend.training.stop_signals import TrainingInterrupted
from descend.training.train_state import RollbackState
from descend.training.trainer import TimeBudget, run_training
from descend.training.training_run import TrainingRun, create_run, resume_run
from descend.trials.prepared_trial import prepare_trial
from descend.trials.trial_spec import make_trial_spec

Tiny = dict[str, Any]

ABSURD = {"learning_rate": 10.0, "gradient_clip": 0.0, "schedule": "constant", "warmup_steps": 0,
          "optimizer": "adamw", "architecture": "gpt"}  # fmt: skip
SPOILED_AFTER = 30


def make_run(tiny: Tiny, folder: str = "run") -> TrainingRun:
    return create_run(make_config(tiny), Path(folder))


def read_rollbacks(folder: str) -> list[Rollback]:
    return [r for r in read_events(Path(folder)) if isinstance(r, Rollback)]


def losses(folder: str) -> list[tuple[int, float]]:
    return [(r.step, r.loss) for r in read_events(Path(folder)) if isinstance(r, Step)]


def model_hash(folder: str) -> str:
    return hashlib.sha256((Path(folder) / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def no_checkpoint_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that happened to be due after the spoiled step would find the weight first."""
    monkeypatch.setattr(TimeBudget, "is_due", lambda _: False)


def spoiled(run: TrainingRun, times: int = 1) -> Iterator[Event]:
    """The records of `run`, a weight of which is lost the first `times` that a step comes by."""
    for record in run_training(run):
        if isinstance(record, Step) and record.step == SPOILED_AFTER and times:
            times -= 1
            with torch.no_grad():
                list(run.state.model.parameters())[-1].fill_(float("nan"))
        yield record


def test_rollbacks_reduce_excessive_learning_rate_stepwise(tiny: Tiny) -> None:
    for _ in run_training(make_run(tiny | ABSURD)):
        pass
    rollbacks = read_rollbacks("run")
    assert [r.adjustment for r in rollbacks][:3] == ["skip", "clip", "rate"]
    assert [r.value for r in rollbacks][1:] == [1.0, *LR_FACTORS[: len(rollbacks) - 2]]
    assert all(r.failed_step == 2 and r.step == 0 for r in rollbacks), (
        "the second step is the first bad"
    )
    summary = read_summary(Path("run"))
    assert summary.rollbacks == rollbacks
    assert summary.validation_loss < 3.0 < math.log(300), "it learned all the same"
    steps = [step for step, _ in losses("run")]
    assert steps == list(range(1, len(steps) + 1))
    assert [e.epoch for e in summary.epochs] == [1, 2]

    with pytest.raises(DivergedError, match="a loss that exploded"):
        list(run_training(make_run(tiny | ABSURD | {"divergence_rollback": "off"}, "off")))
    assert not read_rollbacks("off")


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_rollback_skips_batches_since_last_finite_state(tiny: Tiny, precision: str) -> None:
    tiny |= {"precision": precision, "epoch": 1}
    run = make_run(tiny)
    for _ in spoiled(run):
        pass
    name = list(dict(run.state.model.named_parameters()))[-1]
    (rollback,) = read_rollbacks("run")
    assert (rollback.step, rollback.failed_step, rollback.adjustment, rollback.value) == (
        25,
        31,
        "skip",
        6,
    )
    assert name in rollback.problem
    # The same from a state that was never spoiled, its batches moved on by hand.
    twin, twin_losses = make_run(tiny, "twin"), []
    for records in train(twin.state, twin.plan):
        twin_losses += [(r.step, r.loss) for r in records if isinstance(r, Step)]
        if twin.state.step == rollback.step:
            twin.state.rollback_state = RollbackState(batches_skipped=6)
    assert losses("run") == twin_losses


def test_run_rolls_back_when_a_sample_is_due_while_a_weight_is_not_finite(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tiny | {"epoch": 1})
    monkeypatch.setattr(TimeBudget, "is_overdue", lambda _: run.state.step in (20, SPOILED_AFTER))
    for _ in spoiled(run):
        pass
    (rollback,) = read_rollbacks("run")
    assert (rollback.step, rollback.failed_step) == (25, 31)
    sampled = {r.step for r in read_events(Path("run")) if isinstance(r, Sample)}
    assert 20 in sampled
    assert read_summary(Path("run")).finished


def test_rollback_setting_does_not_change_stable_run(tiny: Tiny) -> None:
    for name in ("on", "off"):
        for _ in run_training(make_run(tiny | {"epoch": 1, "divergence_rollback": name}, name)):
            pass
    assert not read_rollbacks("on")
    assert model_hash("on") == model_hash("off")
    assert losses("on") == losses("off")


def test_persistent_divergence_stops_after_max_rollbacks(tiny: Tiny) -> None:
    run = make_run(tiny)
    with pytest.raises(DivergedError, match=r"step 31 .*the weights of"):
        for _ in spoiled(run, times=99):
            pass
    rollbacks = read_rollbacks("run")
    assert [r.adjustment for r in rollbacks] == ["skip", "clip", "rate", "rate", "rate", "rate"]
    assert rollbacks[1].value == pytest.approx(0.1), "clipping at 1 was on and did not help"
    last = read_events(Path("run"))[-1]
    assert isinstance(last, TrainingStopped)
    assert last.reason == "diverged"
    assert not Path("run/model.safetensors").exists()


def interrupted(records: Iterator[Event], after: int) -> None:
    """Press Ctrl-C once so many steps were reported, those trained again counted."""
    steps = 0
    with pytest.raises(TrainingInterrupted):  # noqa: PT012
        for record in records:
            steps += isinstance(record, Step)
            if steps == after and isinstance(record, Step):
                signal.raise_signal(signal.SIGINT)


def test_resume_during_rollbacks_is_bitwise_identical(tiny: Tiny) -> None:
    tiny |= ABSURD | {"dropout_rate": 0.1}
    for _ in run_training(make_run(tiny, "whole")):
        pass
    assert len(read_rollbacks("whole")) > 3
    parts = make_run(tiny, "parts")
    # While the loss stands too high; right after the first rollback; within the next ones.
    for after in (5, 6, 3, 14, 20):
        interrupted(run_training(parts), after)
        parts = resume_run(Path("parts"))
    assert parts.state.rollback_state.num_rollbacks > 3
    for _ in run_training(parts):
        pass
    assert model_hash("parts") == model_hash("whole")
    assert losses("parts") == losses("whole")
    assert read_rollbacks("parts") == read_rollbacks("whole")
    one, other = read_summary(Path("parts")), read_summary(Path("whole"))
    assert [e.validation_loss for e in one.epochs] == [e.validation_loss for e in other.epochs]
    assert one.rollbacks == other.rollbacks


def test_resumed_run_rolls_back_before_the_interruption(tiny: Tiny) -> None:
    tiny |= {"epoch": 1}
    for _ in spoiled(make_run(tiny, "whole")):
        pass
    parts = make_run(tiny, "parts")
    interrupted(run_training(parts), SPOILED_AFTER - 2)
    again = resume_run(Path("parts"))
    for _ in spoiled(again):
        pass
    (rollback,) = read_rollbacks("parts")
    assert rollback.step == 25 < SPOILED_AFTER - 2
    assert model_hash("parts") == model_hash("whole")


def test_divergence_requires_persistently_high_loss(tiny: Tiny) -> None:
    state = make_run(tiny).state
    usual = [2.0 + 0.1 * (n % 5) for n in range(60)]
    for loss in usual:
        check_for_loss_spike(state, loss, 1)
    spike = [5.0] * (SPIKE_PATIENCE_STEPS - 1)
    for loss in [*spike, 2.1, *spike, 2.1]:
        check_for_loss_spike(state, loss, 1)
    # Half of what was learned since guessing is lost from (ln 300 - 2.2) / 2 = 1.75 above 2.2.
    for loss in [3.9] * 3 * SPIKE_PATIENCE_STEPS:
        check_for_loss_spike(state, loss, 1)
    assert state.recent.num_high == 0
    assert max(state.recent.losses) == 3.9
    state.recent.losses, before = usual, state.rollback_snapshot
    for _ in range(SPIKE_PATIENCE_STEPS - 1):
        check_for_loss_spike(state, 4.1, 1)
    assert state.rollback_snapshot is before, "nothing is kept while it stands high"
    with pytest.raises(DivergedError, match="exploded"):
        check_for_loss_spike(state, 4.1, 1)


def test_initial_loss_above_uniform_is_not_divergence(tiny: Tiny) -> None:
    """As of a model that goes on with quite another text."""
    state = make_run(tiny).state
    for loss in itertools.chain(
        [12.0 - 0.1 * n for n in range(40)], [8.0 + MIN_SPIKE_NATS / 2] * 20
    ):
        check_for_loss_spike(state, loss, 1)
    assert state.recent.num_high == 0


def test_noisy_loss_is_not_divergence(tiny: Tiny) -> None:
    state = make_run(tiny).state
    torch.manual_seed(0)
    for loss in (1.0 + 2.0 * torch.rand(2000)).tolist():
        check_for_loss_spike(state, loss, 1)
    assert state.recent.num_high < SPIKE_PATIENCE_STEPS


@pytest.mark.parametrize(("given", "taken"), [("off", "off"), (False, "off"), (True, "on")])
def test_rollback_setting_accepts_yaml_booleans(given: object, taken: str) -> None:
    assert make_config({"divergence_rollback": given}).divergence_rollback == taken


def test_trial_disables_rollback_and_preserves_key(tiny: Tiny) -> None:
    on, off = (
        make_trial_spec(make_config(tiny | {"divergence_rollback": word}), steps=5)
        for word in ("on", "off")
    )
    assert prepare_trial(on).config.divergence_rollback == "off"
    assert on.key == off.key
    del on.config["divergence_rollback"]  # as a trial was before the key came
    assert on.key == off.key


def test_train_command_reports_and_disables_rollbacks(
    text_file: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in ABSURD.items()]
    command = ["train", str(text_file), "--config", str(tiny_file), "--epoch", "1", *flags]
    assert command_line([*command, "--save-dir", "on"]) == 0
    output = capsys.readouterr()
    assert "Step 2: a loss that exploded" in output.err
    assert "Rolled back to step 0 and clipped gradients at 1." in output.err
    assert "Training diverged" in output.out
    assert command_line([*command, "--save-dir", "off", "--divergence-rollback", "off"]) == 1
    assert "exploded" not in capsys.readouterr().out
    assert command_line([*command, "--save-dir", "no", "--divergence-rollback", "maybe"]) == 2
    assert "divergence_rollback" in capsys.readouterr().err


def step(number: int, loss: float) -> Step:
    return Step(number, 1, loss, 0.1, 0.001, 1.0, False, 0.1)


def test_read_events_uses_latest_events_of_retrained_steps() -> None:
    epoch = Epoch(1, 3, 2, 2, 0, 0, 2, 0, 3, 1, 1)
    back = Rollback(2, 5, "a loss", "skip", 3)
    log = EventLog(Path("run"))
    first = [
        TrainingStarted(0, ""), *(step(n, 1.0) for n in (1, 2, 3)), epoch, CheckpointSaved(3, 0.1),
        step(4, 1.0), step(5, 9.0), back, step(3, 2.0), CheckpointSaved(3, 0.1), step(4, 2.0),
    ]  # fmt: skip
    for record in first:
        log.append(record)
    assert read_events(Path("run")) == [*first[:3], back, *first[9:]]
    # The power fails; taken up from the second of the two checkpoints of step 3.
    again = [TrainingStarted(3, ""), step(4, 2.0)]
    for record in again:
        log.append(record)
    assert read_events(Path("run")) == [*first[:3], back, *first[9:11], *again]
    log.close()


def test_records_of_a_newer_descend_are_refused() -> None:
    log = EventLog(Path("run"))
    log.append(TrainingStarted(0, "", SCHEMA))
    assert read_events(Path("run")) == [TrainingStarted(0, "")]
    assert f'"schema":{SCHEMA}' in Path("run/events.jsonl").read_text()
    log.append(TrainingStarted(3, "", SCHEMA + 1))
    log.close()
    words = f"at most {SCHEMA}, but found records of schema {SCHEMA + 1}"
    with pytest.raises(RunFolderError, match=words):
        read_events(Path("run"))


def test_read_events_ignores_rollback_after_resumed_checkpoint() -> None:
    log = EventLog(Path("run"))
    first = [TrainingStarted(0, ""), step(1, 1.0), step(2, 1.0), CheckpointSaved(2, 0.1)]
    lost = [step(3, 9.0), Rollback(1, 3, "a loss", "skip", 2), step(2, 2.0)]
    for record in [*first, *lost, TrainingStarted(2, ""), step(3, 9.0)]:
        log.append(record)
    log.close()
    assert read_events(Path("run")) == [*first, TrainingStarted(2, ""), step(3, 9.0)]
    assert read_events(Path("run"), until=2) == [*first, TrainingStarted(2, "")]

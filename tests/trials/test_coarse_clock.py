"""By which clock training is timed: one that counts no waiting, though its ticks may be long."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from descend.config import make_config
from descend.training.execution.candidate_timing import time_training_step
from descend.trials.prepared_trial import PreparedTrial, prepare_trial
from descend.trials.timing.step_timing import TICKS, clock_resolution, get_step_time
from descend.trials.trial_spec import make_trial_spec
from descend.trials.worker_pool import (
    ADAPTIVE,
    WorkerMessage,
    start_worker,
    stop_workers,
    wait_until_ready,
)


@pytest.fixture
def ready(tiny: dict[str, object]) -> PreparedTrial:
    return prepare_trial(make_trial_spec(make_config(tiny)))


class Ticking:
    """A clock on which a thousandth of a second passes with every look, given in whole ticks."""

    def __init__(self, tick: float) -> None:
        self.tick, self.looks = tick, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks // round(self.tick / 0.001) * self.tick


def test_step_time_is_positive_below_clock_resolution(ready: PreparedTrial) -> None:
    """From one look to the next: a thousandth for a step, and one for its update."""

    def timed(min_seconds: float) -> tuple[float, float]:
        return time_training_step(
            ready.execution,
            ready,
            float("inf"),
            clock=Ticking(0.016),
            min_seconds=min_seconds,
        )

    assert timed(0.0) == (0.0, 0.0)
    assert clock_resolution(Ticking(0.016)) == pytest.approx(0.016)
    per_token, per_update = timed(TICKS * 0.016)
    tokens = ready.config.batch_size * ready.config.seq_len
    assert per_token * tokens + per_update == pytest.approx(0.003, rel=0.4)


def test_network_timing_supports_a_coarse_clock(
    ready: PreparedTrial, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setattr(time, "process_time", Ticking(0.016))
    step_time = get_step_time(ready)
    assert step_time.per_token + step_time.per_update > 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a process is stopped by a signal there")
def test_a_trial_counts_the_time_at_work_alone(tiny: dict[str, object]) -> None:
    """A worker that is stopped in the middle of its steps waits, as one that has no core does."""
    spec = make_trial_spec(
        make_config(tiny | {"learning_rate": 0.0077}),
        steps=200,
        evaluate_every=10,
        evaluation_tokens=100,
    )
    prepare_trial(spec)
    worker = start_worker(ADAPTIVE)
    assert worker.stdin
    assert worker.stdout
    try:
        wait_until_ready([worker])
        worker.stdin.write(msgspec.json.encode(spec) + b"\n")
        worker.stdin.flush()
        stops = 0
        while True:
            message = msgspec.json.decode(worker.stdout.readline(), type=WorkerMessage)
            if message.result or message.fault:
                break
            if not message.point:  # how far it is
                continue
            worker.stdin.write(b"go on\n")
            worker.stdin.flush()
            if stops < 10:
                time.sleep(0.003)  # it trains by now
                os.kill(worker.pid, signal.SIGSTOP)
                time.sleep(0.5)
                os.kill(worker.pid, signal.SIGCONT)
                stops += 1
    finally:
        stop_workers([worker], [])
    result = message.result
    assert result
    assert stops == 10  # five seconds in all
    assert 0 < result.seconds == result.curve[-1].seconds < 2.5

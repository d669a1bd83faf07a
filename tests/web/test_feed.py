"""What the studio reads off the events of a run."""

from __future__ import annotations

from pathlib import Path

from descend.runs.event_log import EventLog
from descend.runs.events import EndStepChosen, Event, Overfitting, Step, TrainingStarted
from descend.web.studio.feed import RunFeed


def feed_of(folder: Path, *events: Event) -> RunFeed:
    log = EventLog(folder)
    log.append(TrainingStarted(0, ""))
    log.append(Step(1, 1, 3.0, 0.2, 1e-3, 1.0, clipped=False, seconds=0.1))
    for event in events:
        log.append(event)
    log.close()
    feed = RunFeed(folder)
    feed.poll()
    return feed


def test_last_step_is_the_one_that_the_run_chose(tmp_path: Path) -> None:
    for name in ("planned", "timed", "overfitting"):
        (tmp_path / name).mkdir()
    assert feed_of(tmp_path / "planned").end_step is None
    chosen = EndStepChosen(1, 120, 0.1)
    assert feed_of(tmp_path / "timed", chosen).end_step == 120
    decay = Overfitting(100, 2, 3.1, 1, 3.0, decay_steps=30)
    assert feed_of(tmp_path / "overfitting", chosen, decay).end_step == 130

"""`descend forecast` on real runs: finished, unfinished, with little seen, and on none."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.config import make_config
from descend.config_sources import load_config_file
from descend.errors import ConfigError, RunFolderError
from descend.forecast.forecast_run import forecast_run
from descend.report.text.forecast_summary import forecast_lines, summarize_forecast
from descend.runs.event_log import EventLog, read_events
from descend.runs.events import Step, TrainingStopped
from descend.training.trainer import run_training
from descend.training.training_run import create_run


def stopped_at(share: float, folder: Path, settings: dict[str, Any]) -> Path:
    """A run that was stopped after `share` of its steps."""
    run = create_run(make_config(settings), folder)
    records = run_training(run)
    for record in records:
        if record.step > run.plan.total_steps * share:
            break
    records.close()  # type: ignore[attr-defined]
    return folder


@pytest.fixture(scope="module")
def unfinished(text_file: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs, stopped in the third."""
    settings = load_config_file(tiny_file) | {"corpus_dir": str(text_file), "epoch": 4}
    return stopped_at(0.6, tmp_path_factory.mktemp("models") / "unfinished", settings)


def test_a_finished_run_is_forecast_as_if_continued(trained: Path) -> None:
    forecast = forecast_run(trained, 3)
    assert forecast.finished
    assert forecast.epochs_ahead == len(forecast.epochs) == 3
    assert [a.epoch for a in forecast.epochs] == [3, 4, 5]
    low, high = forecast.validation_loss_interval
    assert 0 < low < forecast.validation_loss < high
    assert 0 < forecast.accuracy < 1
    assert forecast.validation_loss_now is not None
    assert forecast.expected_loss_reduction == pytest.approx(
        forecast.validation_loss_now - forecast.validation_loss
    )
    assert forecast.loss_reduction_per_minute * forecast.minutes == pytest.approx(
        forecast.expected_loss_reduction
    )
    assert f"descend continue {trained} --epoch 3" in summarize_forecast(forecast)
    assert (
        abs(forecast.expected_loss_reduction) < 1
    )  # nats: near where it stands, the run being hardly longer


def test_forecast_defaults_to_the_epochs_of_the_run(trained: Path) -> None:
    assert forecast_run(trained).epochs_ahead == 2


def test_forecast_counts_no_epoch_when_the_run_read_a_part_of_its_text(
    tiny: dict[str, Any],
) -> None:
    run_to_end = create_run(make_config(tiny | {"max_steps": 20, "epoch": None}), Path("part"))
    for _ in run_training(run_to_end):
        pass
    forecast = forecast_run(Path("part"))
    assert (forecast.finished, forecast.num_observed_epochs) == (True, 0)
    assert [a.epoch for a in forecast.epochs] == [1]
    lines = "\n".join(forecast_lines(forecast))
    assert "epoch    1" in lines
    assert "only 0" not in lines
    assert "1 epoch could" not in lines


def test_forecast_of_unfinished_run_covers_remaining_epochs(unfinished: Path) -> None:
    forecast = forecast_run(unfinished)
    assert not forecast.finished
    assert forecast.num_observed_epochs == 2
    assert [a.epoch for a in forecast.epochs] == [3, 4]
    assert "At the end of this run" in "\n".join(forecast_lines(forecast))
    further = forecast_run(unfinished, 2)
    assert [a.epoch for a in further.epochs] == [3, 4, 5, 6]
    assert further.epochs[0].validation_loss == forecast.epochs[0].validation_loss
    assert further.minutes > forecast.minutes


def test_forecast_of_unfinished_run_stops_at_max_steps(tiny: dict[str, Any]) -> None:
    """In the midst of its second pass: 0.4 of 60 steps are ahead of it, not those of two passes."""
    stopped_at(0.6, Path("short"), tiny | {"max_steps": 60})
    forecast = forecast_run(Path("short"))
    steps = [r for r in read_events(Path("short")) if isinstance(r, Step)]
    ahead = 60 - steps[-1].step
    assert [a.epoch for a in forecast.epochs] == [1, 2]
    per_step = sum(s.seconds for s in steps) / len(steps)
    assert forecast.minutes == pytest.approx(ahead * per_step / 60)


def test_forecast_ignores_label_smoothed_training_losses(
    tiny: dict[str, Any], trained: Path
) -> None:
    """Of a run with label smoothing the epochs alone speak; before the first, nothing does."""
    stopped_at(0.7, Path("smooth"), tiny | {"label_smoothing": 0.1})
    forecast = forecast_run(Path("smooth"))
    plain = forecast_run(trained)
    assert forecast.num_observed_epochs == 1
    assert [a.epoch for a in forecast.epochs] == [2]
    low, high = forecast.validation_loss_interval
    assert 0 < low < forecast.validation_loss < high
    assert abs(forecast.validation_loss - (plain.validation_loss_now or 0)) < 1
    stopped_at(0.4, Path("young"), tiny | {"label_smoothing": 0.1})
    with pytest.raises(RunFolderError, match="label_smoothing in its first epoch"):
        forecast_run(Path("young"))


def test_forecast_interval_is_wider_with_fewer_steps(unfinished: Path, tmp_path: Path) -> None:
    early = tmp_path / "early"
    shutil.copytree(unfinished, early)
    lines = (early / "events.jsonl").read_text().splitlines(keepends=True)
    first_epoch = next(i for i, line in enumerate(lines) if '"kind":"epoch"' in line)
    (early / "events.jsonl").write_text("".join(lines[: first_epoch // 2]))
    before, after = forecast_run(early), forecast_run(unfinished)
    assert before.num_observed_epochs == 0
    assert before.validation_loss_now is None

    def width(forecast: Any) -> float:
        low, high = forecast.validation_loss_interval
        return float(high - low)

    assert width(before) > width(after)
    assert "could be observed" in summarize_forecast(before)


def test_forecast_reports_observed_overfitting(
    text_file: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Of two epochs, a rise may be the high rate's; of six it is not."""
    settings = load_config_file(tiny_file) | {"corpus_dir": str(text_file), "epoch": 8}
    run = stopped_at(0.8, tmp_path / "run", settings)
    losses = {1: 1.6, 2: 1.3, 3: 1.45, 4: 1.7, 5: 2.0, 6: 2.3}
    forecast = forecast_run(with_losses(run, tmp_path / "rising", losses))
    assert forecast.overfitting_from_epoch == 3
    assert forecast.expected_loss_reduction < 0
    assert "overfitting" in summarize_forecast(forecast)
    assert "more epochs will not help" in summarize_forecast(forecast)


def with_losses(run: Path, folder: Path, losses: dict[int, float]) -> Path:
    """A copy of `run` in `folder` whose epochs ended at `losses`."""
    shutil.copytree(run, folder)
    records = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for record in records:
        if record["kind"] == "epoch":
            record["validation_loss"] = losses[record["epoch"]]
    (folder / "events.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def test_forecast_predicts_no_improvement_after_rising_loss(
    text_file: Path, tiny_file: Path, tmp_path: Path
) -> None:
    config = make_config(load_config_file(tiny_file) | {"corpus_dir": str(text_file), "epoch": 4})
    list(run_training(create_run(config, tmp_path / "run")))
    fell = with_losses(tmp_path / "run", tmp_path / "fell", {1: 4.4, 2: 3.9, 3: 3.7, 4: 3.6})
    assert "The run continued after" not in summarize_forecast(forecast_run(fell, 2))
    losses = {1: 2.0, 2: 1.0, 3: 1.01, 4: 1.03}
    forecast = forecast_run(with_losses(tmp_path / "run", tmp_path / "rose", losses), 2)
    assert forecast.overfitting_from_epoch == 3
    assert forecast.expected_loss_reduction <= 0
    text = summarize_forecast(forecast)
    assert "after epoch 2, its best" in text
    assert "rose from 1.000 to 1.030 by epoch 4" in text
    assert "overfitting is expected" not in text
    lines = forecast_lines(forecast)
    assert any("continued from  epoch 2, the best" in line for line in lines)
    assert not any("continued from" in line for line in forecast_lines(forecast_run(fell, 2)))
    hopeful = msgspec.structs.replace(
        forecast_run(fell, 2), expected_loss_reduction=0.5, overfitting_from_epoch=None
    )
    assert "No overfitting is expected" in summarize_forecast(hopeful)
    assert "overfitting is expected" not in summarize_forecast(
        msgspec.structs.replace(hopeful, expected_loss_reduction=-0.01)
    )


@pytest.mark.parametrize("epochs", [0, -3, 100_000])
def test_epochs_out_of_bounds(trained: Path, epochs: int) -> None:
    with pytest.raises(ConfigError, match="epochs: expected"):
        forecast_run(trained, epochs)


def test_forecast_rejects_invalid_run_folders(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(RunFolderError, match="expected the folder of a descend run"):
        forecast_run(tmp_path)
    with pytest.raises(RunFolderError):
        forecast_run(tmp_path / "nothing")
    young = tmp_path / "young"
    shutil.copytree(trained, young)
    lines = (young / "events.jsonl").read_text().splitlines(keepends=True)
    (young / "events.jsonl").write_text("".join(lines[:6]))
    with pytest.raises(RunFolderError, match=r"expected at least .*recorded steps"):
        forecast_run(young)
    diverged = tmp_path / "diverged"
    shutil.copytree(trained, diverged)
    with closing(EventLog(diverged)) as log:
        log.append(TrainingStopped(9**6, "diverged", ""))
    with pytest.raises(RunFolderError, match="a run that diverged"):
        forecast_run(diverged)


def test_the_page_quotes_the_scores_as_they_are() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs/forecast.md").read_text(encoding="utf-8")
    scores = (root / "benchmarks/results/forecast/summary.md").read_text(encoding="utf-8")
    by_fraction, _, by_corpus = scores.partition("Half of the run seen, by corpus:")
    assert "| moby_dick |" in by_corpus
    assert by_fraction.strip() in page

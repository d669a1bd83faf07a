"""The forecast of a run: its learning curve, extrapolated with the prior of recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.errors import ConfigError, RunFolderError
from descend.forecast.curve_model import Floats, TrajectoryPoints
from descend.forecast.curve_prior import (
    CurvePosterior,
    CurvePrior,
    RunFeatures,
    fit_posterior,
    load_curve_prior,
)
from descend.forecast.prediction_intervals import (
    MIN_OVERFIT_NATS,
    continued_interval,
    limit_continuation,
    prediction_interval,
)
from descend.forecast.trajectory import LossSpans, Trajectory, make_trajectory, observe
from descend.model.cost import parameter_count
from descend.model.shape import shape_from_run_config
from descend.runs.epochs_read import count_epochs_read
from descend.runs.recorded_run import RecordedRun
from descend.runs.suggestions import lacks_model, retrain_command, suggest_fix
from descend.training.continuation import inherited_config
from descend.training.explosion import loss_of_explosion
from descend.training.recipe import choose_warmup
from descend.units import quoted

DRAWS = 1000
"""Draws of the parameters: the ends of an 80 % interval are then known to 3 % of its width."""

MIN_STEPS = 16
"""Steps below which a curve says nothing yet."""

MAX_EPOCHS = 1000


class UndeterminedForecast(RunFolderError):
    """The reason why a run has no forecast: a result, not a mistake."""


class EpochForecast(msgspec.Struct, frozen=True):
    """An epoch ahead. Losses are in nats per validation token, with an 80 % interval."""

    epoch: int
    """Counted on from the epochs that the run has behind it."""
    validation_loss: float
    low: float
    high: float
    accuracy: float


Effect = Literal["improves", "none", "worsens", "undetermined"]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction for a run."""

    effect: Effect
    """The effect of the epochs ahead on the validation loss. `undetermined` if the 80 % interval
    holds an improvement and a worsening of at least 0.02 nat."""

    run: str
    finished: bool
    """Whether the run is finished. The forecast is then for a continuation."""
    num_observed_epochs: int
    """Evaluations so far; 0 if the run read less than the whole text."""
    num_observed_steps: int
    epochs_ahead: int
    """Epochs until the end of the forecast."""
    validation_loss_now: float | None
    """Of the best epoch so far; null before the end of the first."""
    validation_loss_last: float | None
    """Of the newest epoch."""
    accuracy_now: float | None
    validation_loss: float
    """Expected after the last epoch ahead."""
    validation_loss_interval: tuple[float, float]
    """The 80 % interval."""
    accuracy: float
    expected_loss_reduction: float
    """The loss now minus the predicted loss; before the end of the first epoch, the fitted loss
    now."""
    minutes: float
    """Training time ahead, at the speed so far."""
    loss_reduction_per_minute: float
    best_epoch: int
    """The epoch ahead with the lowest predicted loss."""
    overfitting_from_epoch: int | None
    """First epoch whose validation loss is higher than that of an earlier one and stays so."""
    epochs: list[EpochForecast]
    bigram_accuracy: float | None = None
    """Accuracy of the bigram baseline on the validation text; null for older runs."""


def forecast_run(folder: Path, epochs: int | None = None) -> Forecast:
    """Return what `epochs` more of them will bring the finished run in `folder`, or of an
    unfinished one what its own remaining epochs will (and `epochs` more after them, if given).

    Without `epochs` a finished run is thought to be continued for as many as it had.

    Raises `RunFolderError` for a folder that is no run or has hardly begun, `ConfigError` for a
    number of epochs out of bounds.
    """
    if epochs is not None and not 1 <= epochs <= MAX_EPOCHS:
        raise ConfigError("epochs", str(epochs), f"1 to {MAX_EPOCHS}", "choose another number")
    recorded_run = _open_run(folder)
    prior = load_curve_prior()
    run = _trajectory(recorded_run)
    posterior = _posterior(recorded_run, run, prior)
    points, minutes = _points_ahead(recorded_run, run, epochs)
    return _forecast(recorded_run, run, posterior, points, minutes)


def _open_run(folder: Path) -> RecordedRun:
    """Return the run in `folder`; `UndeterminedForecast` where nothing can be forecast of it."""
    run = RecordedRun(folder)
    if run.diverged and run.stopped is run.events[-1]:
        raise UndeterminedForecast(
            str(folder), "a run that diverged", "one whose loss is a finite number",
            suggest_fix(folder),
        )  # fmt: skip
    limit = loss_of_explosion(run.corpus_count("vocab_size"))
    if run.epochs and run.epochs[-1].validation_loss > limit:  # of a version that did not stop
        raise UndeterminedForecast(
            str(folder), f"a run whose loss exploded to {run.epochs[-1].validation_loss:.4g}",
            f"one below {limit:.1f}", f"train again with `{retrain_command(folder)}`",
        )  # fmt: skip
    if len(run.steps) < MIN_STEPS:
        raise UndeterminedForecast(
            str(folder), f"{len(run.steps)} recorded steps", f"at least {MIN_STEPS}",
            f"train for longer with `descend continue {quoted(folder)}`"
            if run.finished and not lacks_model(folder) else suggest_fix(folder),
        )  # fmt: skip
    if run.config.label_smoothing and not run.epochs:
        raise UndeterminedForecast(
            str(folder), "a run with label_smoothing in its first epoch",
            "a loss on the scale of the validation loss", "let it train to the end of an epoch",
        )  # fmt: skip
    return run


def _batches(recorded_run: RecordedRun) -> BatchSampler:
    """Return the batches of the run over as many tokens, which are not looked at."""
    tokens = np.broadcast_to(
        np.zeros(1, dtype=np.uint16), (recorded_run.corpus_count("train_tokens"),)
    )
    config = recorded_run.config
    return BatchSampler(tokens, config.seq_len, config.batch_size, config.seed)


def _trajectory(recorded_run: RecordedRun) -> Trajectory:
    config, batches = recorded_run.config, _batches(recorded_run)
    assert config.epoch is not None
    assert config.warmup_steps is not None
    steps = max(recorded_run.total_steps, recorded_run.num_steps)
    return make_trajectory(
        config, config.warmup_steps, steps, batches.sequences_per_epoch * config.seq_len
    )


def _posterior(recorded_run: RecordedRun, run: Trajectory, prior: CurvePrior) -> CurvePosterior:
    baselines = recorded_run.metadata.corpus["ngram_baselines"]
    # A smoothed loss is not on the scale of the validation loss.
    usable = [] if recorded_run.config.label_smoothing else recorded_run.steps
    spans = LossSpans(np.array([float(s.step) for s in usable]), np.array([s.loss for s in usable]))
    start = (
        recorded_run.steps[0].loss if recorded_run.metadata.parent else float(baselines["uniform"])
    )
    observed = observe(
        run, spans, np.array([float(e.step) for e in recorded_run.epochs]),
        np.array([e.validation_loss for e in recorded_run.epochs]),
        start=start, scale=float(baselines["unigram"]), training_error=prior.training_error,
    )  # fmt: skip
    return fit_posterior(observed, _run_features(recorded_run), prior)


def _run_features(recorded_run: RecordedRun) -> RunFeatures:
    config = recorded_run.config
    assert config.vocab_size is not None
    return RunFeatures(
        peak_learning_rate=config.peak_learning_rate,
        tokens_per_step=_batches(recorded_run).tokens_per_step,
        parameters=parameter_count(shape_from_run_config(config, config.vocab_size)),
        train_tokens=len(_batches(recorded_run).tokens),
        vocab_size=config.vocab_size,
        adamw=config.optimizer == "adamw",
        dropout=config.dropout_rate,
        token_dropout=config.token_dropout or 0.0,
        bpe_dropout=config.bpe_dropout or 0.0,
    )


def _points_ahead(
    recorded_run: RecordedRun, run: Trajectory, epochs: int | None
) -> tuple[TrajectoryPoints, float]:
    """Return the ends of the epochs to come, and the minutes until the last of them."""
    batches, per_step = (
        _batches(recorded_run),
        float(np.mean([s.seconds for s in recorded_run.steps])),
    )
    parts, steps_ahead = [], 0
    now = recorded_run.steps[-1].step
    if not recorded_run.finished:
        assert recorded_run.config.epoch is not None
        # The last epoch may be a part of one.
        ends = [
            float(min(batches.steps(e), run.steps)) for e in range(1, recorded_run.config.epoch + 1)
        ]
        parts.append(run.points_at(np.array([e for e in ends if e > now])))
        steps_ahead += run.steps - now
    if recorded_run.finished or epochs:
        more = epochs or len(recorded_run.epochs)
        config = make_config(inherited_config(recorded_run.metadata) | {"epoch": more})
        best = (
            min(recorded_run.epochs, key=lambda e: e.validation_loss).step
            if recorded_run.finished
            else run.steps
        )
        at = run.points_at(np.array([float(best)]))
        steps = batches.steps(more)
        on = make_trajectory(
            config, choose_warmup(config, steps), steps, run.tokens_per_epoch,
            (float(at.trained[0]), float(at.epochs[0])),
        )  # fmt: skip
        parts.append(on.points_at(np.array([float(batches.steps(e)) for e in range(1, more + 1)])))
        steps_ahead += steps
    joined = TrajectoryPoints(*(np.concatenate([getattr(p, f) for p in parts])
                      for f in ("trained", "rate", "epochs")))  # fmt: skip
    return joined, steps_ahead * per_step / 60


def _forecast(
    recorded_run: RecordedRun,
    run: Trajectory,
    posterior: CurvePosterior,
    points: TrajectoryPoints,
    minutes: float,
) -> Forecast:
    prior = load_curve_prior()
    here = run.points_at(np.array([float(recorded_run.steps[-1].step)]))
    all_points = TrajectoryPoints(*(np.concatenate([getattr(here, f), getattr(points, f)])
                          for f in ("trained", "rate", "epochs")))  # fmt: skip
    draws = posterior.sample_validation_losses(all_points, DRAWS)
    today = float(draws[0, 0])
    values, low, high = prediction_interval(
        draws[:, 1:], prior.validation_error, prior.interval_scale
    )
    best = min(recorded_run.epochs, key=lambda e: e.validation_loss, default=None)
    if best and recorded_run.finished:
        values = limit_continuation(values, [e.validation_loss for e in recorded_run.epochs])
        low, high = continued_interval(values, prior, len(values) / len(recorded_run.epochs))
    guess = float(recorded_run.metadata.corpus["ngram_baselines"]["uniform"])
    high = np.minimum(high, np.maximum(values, guess))
    observed_loss, observed_accuracy = _observed_loss_and_accuracy(recorded_run)
    accuracies = expected_accuracy(values, observed_loss, observed_accuracy, prior)
    unread = _has_read_only_a_part(recorded_run)  # then no whole epoch is behind it
    behind = _epochs_behind(recorded_run) - unread
    by_epoch = [
        EpochForecast(behind + i + 1, *map(float, row))
        for i, row in enumerate(zip(values, low, high, accuracies, strict=True))
    ]
    known = best.validation_loss if best else today
    effect = effect_of(known, by_epoch[-1])
    return Forecast(
        effect=effect,
        run=str(recorded_run.folder),
        finished=recorded_run.finished,
        num_observed_epochs=len(recorded_run.epochs) - unread,
        num_observed_steps=recorded_run.steps[-1].step,
        epochs_ahead=len(by_epoch),
        validation_loss_now=best.validation_loss if best else None,
        validation_loss_last=recorded_run.epochs[-1].validation_loss if best else None,
        accuracy_now=best.validation_accuracy if best else None,
        validation_loss=by_epoch[-1].validation_loss,
        validation_loss_interval=(by_epoch[-1].low, by_epoch[-1].high),
        accuracy=by_epoch[-1].accuracy,
        expected_loss_reduction=known - by_epoch[-1].validation_loss,
        minutes=minutes,
        loss_reduction_per_minute=(known - by_epoch[-1].validation_loss) / max(minutes, 1e-9),
        best_epoch=min(by_epoch, key=lambda a: a.validation_loss).epoch,
        bigram_accuracy=recorded_run.metadata.corpus["ngram_baselines"].get("bigram_accuracy"),
        overfitting_from_epoch=None
        if effect == "undetermined" and not _rose(recorded_run)
        else _overfits(recorded_run, by_epoch),
        epochs=by_epoch,
    )


def effect_of(known: float, ahead: EpochForecast) -> Effect:
    """Return what `ahead` says of a run that stands at `known` (nats), within its 80 % interval."""
    may_gain = ahead.low < known - MIN_OVERFIT_NATS
    may_lose = ahead.high > known + MIN_OVERFIT_NATS
    if may_gain and may_lose:
        return "undetermined"
    gain = known - ahead.validation_loss
    if abs(gain) < MIN_OVERFIT_NATS:
        return "none"
    return "improves" if gain > 0 else "worsens"


def _epochs_behind(recorded_run: RecordedRun) -> int:
    """Return epochs that count as behind: a continued run goes on from its best one."""
    if not recorded_run.finished:
        return len(recorded_run.epochs)
    return min(recorded_run.epochs, key=lambda e: e.validation_loss).epoch


def expected_accuracy(
    losses: Floats, from_loss: float, accuracy: float, prior: CurvePrior
) -> Floats:
    """Return the accuracy at `losses`, from one known pair: a falling loss adds more to it than
    a rising one takes away."""
    loss_reduction = from_loss - losses
    slope = np.where(loss_reduction > 0, prior.accuracy_slope, prior.accuracy_slope_rising)
    accuracies: Floats = np.clip(accuracy + slope * loss_reduction, 0, 1)
    return accuracies


def _observed_loss_and_accuracy(recorded_run: RecordedRun) -> tuple[float, float]:
    """Return a loss and the accuracy that went with it: of the best epoch, or of the latest
    training."""
    if recorded_run.epochs:
        best = min(recorded_run.epochs, key=lambda e: e.validation_loss)
        return best.validation_loss, best.validation_accuracy
    latest = recorded_run.steps[-max(1, len(recorded_run.steps) // 10) :]
    return (
        float(np.mean([s.loss for s in latest])),
        float(np.mean([s.accuracy for s in latest])),
    )


def _has_read_only_a_part(recorded_run: RecordedRun) -> bool:
    """Return whether a finished run has not read all of its text."""
    return recorded_run.finished and count_epochs_read(recorded_run.summary) < 1


def _rose(recorded_run: RecordedRun) -> bool:
    """Return whether a finished run ended above its best epoch."""
    if not (recorded_run.finished and recorded_run.epochs):
        return False
    best = min(e.validation_loss for e in recorded_run.epochs)
    return recorded_run.epochs[-1].validation_loss >= best + MIN_OVERFIT_NATS


def _overfits(recorded_run: RecordedRun, ahead: list[EpochForecast]) -> int | None:
    """Return the epoch after the lowest one, if the loss then rises for good, measured or
    expected."""
    if _rose(recorded_run):
        return _epochs_behind(recorded_run) + 1
    behind = [
        (e.epoch, e.validation_loss)
        for e in recorded_run.epochs
        if e.epoch <= _epochs_behind(recorded_run)
    ]
    curve = [*behind, *((a.epoch, a.validation_loss) for a in ahead)]
    lowest = min(range(len(curve)), key=lambda i: curve[i][1])
    later = [loss for _, loss in curve[lowest + 1 :]]
    if not later or later[-1] < curve[lowest][1] + MIN_OVERFIT_NATS:
        return None
    return curve[lowest + 1][0]

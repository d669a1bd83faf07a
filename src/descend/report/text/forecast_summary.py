"""A forecast in plain words."""

from __future__ import annotations

from pathlib import Path

from descend.forecast.forecast_run import EpochForecast, Forecast, UndeterminedForecast
from descend.forecast.prediction_intervals import MIN_OVERFIT_NATS
from descend.runs.suggestions import lacks_model, suggest_fix
from descend.units import format_count, format_duration, quoted

WIDE = 0.05
"""Width of the interval, as a fraction of the loss, from which it is called wide."""

FEW_EPOCHS = 3


def summarize_forecast(forecast: Forecast) -> str:
    """Return what is to be expected, in one paragraph."""
    low, high = forecast.validation_loss_interval
    bigram = forecast.bigram_accuracy
    beside = "" if bigram is None else f" (bigram baseline {bigram:.1%})"
    sentences = [
        (
            f"{_when(forecast)} the expected validation loss is {forecast.validation_loss:.3f} "
            f"(80 % interval {low:.3f} to {high:.3f}), the expected accuracy "
            f"{forecast.accuracy:.1%}{beside}."
        ),
        _describe_effect(forecast),
    ]
    if (
        forecast.overfitting_from_epoch is not None
        and forecast.overfitting_from_epoch <= forecast.num_observed_epochs
    ):
        sentences.append(
            f"The run continued after epoch {forecast.overfitting_from_epoch - 1}, its best, and"
            f" the validation loss rose from {forecast.validation_loss_now:.3f} to"
            f" {forecast.validation_loss_last:.3f} by epoch {forecast.num_observed_epochs}:"
            " overfitting. The weights of the best epoch are kept."
        )
    elif forecast.overfitting_from_epoch is not None:
        sentences.append(
            f"From epoch {forecast.overfitting_from_epoch} on it is expected to rise: overfitting. "
            "The weights of the best epoch are kept."
        )
    elif forecast.epochs_ahead > 1 and forecast.expected_loss_reduction >= MIN_OVERFIT_NATS:
        sentences.append("No overfitting is expected until then.")
    if high - low > WIDE * forecast.validation_loss and forecast.num_observed_epochs < FEW_EPOCHS:
        count = forecast.num_observed_epochs
        observed_text = f"only {format_count(count, 'epoch')}" if count else "no whole epoch"
        sentences.append(f"The interval is wide because {observed_text} could be observed.")
    return " ".join(sentences)


def explain_undetermined(run: Path, reason: UndeterminedForecast) -> str:
    """Say why a run has no forecast, and what to do about it."""
    return f"No forecast is possible for {run}: {reason.actual}. Fix: {reason.fix}."


def forecast_lines(forecast: Forecast) -> list[str]:
    """Return the forecast as a small table of the epochs to come, then the paragraph."""
    lines = []
    if forecast.validation_loss_now is not None:
        lines.append(f"best so far     validation loss {forecast.validation_loss_now:.3f}")
    first = forecast.epochs[0].epoch
    if first <= forecast.num_observed_epochs:
        lines.append(f"continued from  epoch {first - 1}, the best, whose weights are kept")
    lines += [_line(ahead) for ahead in _a_few(forecast.epochs)]
    return [*lines, "", summarize_forecast(forecast)]


MAX_LINES = 12


def _a_few(epochs: list[EpochForecast]) -> list[EpochForecast]:
    """Return all, or about `MAX_LINES` evenly spread with the last."""
    every = -(-len(epochs) // MAX_LINES)
    return [a for i, a in enumerate(epochs) if (len(epochs) - 1 - i) % every == 0]


def _line(ahead: EpochForecast) -> str:
    return (
        f"epoch {ahead.epoch:>4}      validation loss {ahead.validation_loss:.3f} "
        f"({ahead.low:.3f} to {ahead.high:.3f})  accuracy {ahead.accuracy:.1%}"
    )


def _when(forecast: Forecast) -> str:
    epochs = f"{forecast.epochs_ahead} more epoch{'s' if forecast.epochs_ahead != 1 else ''}"
    if forecast.finished and lacks_model(Path(forecast.run)):
        return f"After {epochs} (its model is lost: {suggest_fix(Path(forecast.run))})"
    if forecast.finished:
        return (
            f"After {epochs} (`descend continue {quoted(forecast.run)} --epoch"
            f" {forecast.epochs_ahead}`)"
        )
    return f"At the end of this run ({epochs} to finish)"


def _describe_effect(forecast: Forecast) -> str:
    if forecast.effect == "undetermined":
        return (
            "Inconclusive: the interval includes a lower and a higher loss. Train further to "
            "find out."
        )
    if forecast.expected_loss_reduction < -MIN_OVERFIT_NATS:
        return (
            f"That is {-forecast.expected_loss_reduction:.3f} nats worse than now: more epochs "
            "will not help."
        )
    if forecast.expected_loss_reduction < MIN_OVERFIT_NATS:
        return "Expected change: negligible. More epochs will hardly help."
    minutes = max(forecast.minutes, 1 / 60)
    return (
        f"Expected loss reduction: {forecast.expected_loss_reduction:.3f} nats in"
        f" {format_duration(forecast.minutes * 60)},"
        f" {forecast.expected_loss_reduction / minutes:.3g} per minute."
    )

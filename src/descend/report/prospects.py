"""A forecast in plain words."""

from __future__ import annotations

from pathlib import Path

from descend.lab.forecast import MIN_OVERFIT_NATS, EpochForecast, Forecast
from descend.runs.suggestions import lacks_model, suggest_fix
from descend.units import format_duration, quoted

WIDE = 0.05
"""Width of the interval, as a share of the loss, from which it is called wide."""

FEW_EPOCHS = 3


def summarize_forecast(found: Forecast) -> str:
    """What is to be expected, in one paragraph."""
    low, high = found.validation_loss_interval
    sentences = [
        f"{_when(found)} the validation loss is expected at {found.validation_loss:.3f} "
        f"({low:.3f} to {high:.3f} with 80 % probability) and the accuracy at "
        f"{found.accuracy:.1%}.",
        _worth(found),
    ]
    if found.overfits_at_epoch is not None and found.overfits_at_epoch <= found.epochs_seen:
        sentences.append(
            f"The run went on after epoch {found.overfits_at_epoch - 1}, its best, and the "
            f"validation loss rose from {found.validation_loss_now:.3f} to "
            f"{found.validation_loss_last:.3f} by epoch {found.epochs_seen}: overfitting. The "
            "weights of the best epoch are the ones kept."
        )
    elif found.overfits_at_epoch is not None:
        sentences.append(
            f"From epoch {found.overfits_at_epoch} on it is expected to rise: overfitting. "
            "The weights of the best epoch are the ones kept."
        )
    elif found.epochs_ahead > 1 and found.expected_loss_reduction >= MIN_OVERFIT_NATS:
        sentences.append("No overfitting is foreseen until then.")
    if high - low > WIDE * found.validation_loss and found.epochs_seen < FEW_EPOCHS:
        seen = f"{found.epochs_seen} epoch{'s' if found.epochs_seen != 1 else ''}"
        sentences.append(f"The interval is wide because only {seen} could be seen.")
    return " ".join(sentences)


def forecast_lines(found: Forecast) -> list[str]:
    """The forecast as a small table of the epochs to come, then the paragraph."""
    lines = []
    if found.validation_loss_now is not None:
        lines.append(f"best so far     validation loss {found.validation_loss_now:.3f}")
    first = found.epochs[0].epoch
    if first <= found.epochs_seen:
        lines.append(f"continued from  epoch {first - 1}, the best, whose weights are kept")
    lines += [_line(ahead) for ahead in _a_few(found.epochs)]
    return [*lines, "", summarize_forecast(found)]


MOST_LINES = 12


def _a_few(epochs: list[EpochForecast]) -> list[EpochForecast]:
    """All, or about `MOST_LINES` evenly spread with the last."""
    every = -(-len(epochs) // MOST_LINES)
    return [a for i, a in enumerate(epochs) if (len(epochs) - 1 - i) % every == 0]


def _line(ahead: EpochForecast) -> str:
    return (
        f"epoch {ahead.epoch:>4}      validation loss {ahead.validation_loss:.3f} "
        f"({ahead.low:.3f} to {ahead.high:.3f})  accuracy {ahead.accuracy:.1%}"
    )


def _when(found: Forecast) -> str:
    epochs = f"{found.epochs_ahead} more epoch{'s' if found.epochs_ahead != 1 else ''}"
    if found.finished and lacks_model(Path(found.run)):
        return f"After {epochs} (its model is lost: {suggest_fix(Path(found.run))})"
    if found.finished:
        return (
            f"After {epochs} (`descend continue {quoted(found.run)} --epoch {found.epochs_ahead}`)"
        )
    return f"At the end of this run ({epochs} to finish)"


def _worth(found: Forecast) -> str:
    if found.effect == "undetermined":
        return (
            "Whether more training helps cannot be told: the interval holds gains and losses. "
            "Only trying it tells."
        )
    if found.expected_loss_reduction < -MIN_OVERFIT_NATS:
        return f"That is {-found.expected_loss_reduction:.3f} worse than now: more epochs will not help."
    if found.expected_loss_reduction < MIN_OVERFIT_NATS:
        return "That is no change worth having: more epochs will hardly help."
    minutes = max(found.minutes, 1 / 60)
    return (
        f"That is a gain of {found.expected_loss_reduction:.3f} nat in {format_duration(found.minutes * 60)}, "
        f"{found.expected_loss_reduction / minutes:.3g} a minute."
    )

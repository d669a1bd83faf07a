"""Numbers and suggestions as the sections on a run write them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from descend.config import make_config
from descend.diagnosis.cause import USUAL_RATE
from descend.diagnosis.diagnosis_result import Diagnosis
from descend.diagnosis.recommended_config import merge_recommendations
from descend.errors import ConfigError, RunFolderError
from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
from descend.runs.events import Sample
from descend.runs.recorded_run import RecordedRun
from descend.units import format_significant

Change = Mapping[str, object]
"""Keys of the configuration and the values to try."""

TYPICAL_RATES = (0.0001, 0.01)
"""Learning rates that cover most small transformers (the page on `learning_rate`)."""

PROMPT_WORDS, PROMPT_CHARACTERS = 3, 30
"""Of a prompt that is proposed."""


def format_ci95(ci95: tuple[float, float] | None) -> str:
    """Return ` (95 % CI 4.05 to 4.2)`, to stand behind a number; empty where it has no interval."""
    return (
        ""
        if ci95 is None
        else f" (95 % CI {format_significant(ci95[0])} to {format_significant(ci95[1])})"
    )


def format_percent(part: float) -> str:
    """Return `0.4%`, `37%`."""
    return f"{part:.1%}" if 0 < part < 0.1 else f"{part:.0%}"


def generate_command(folder: Path | str, samples: Sequence[Sample] = ()) -> str:
    """Return `descend generate …` with the first words of a sample, which are in the language of
    the text; with an English beginning where there is none."""
    # Without spaces between words (Chinese, Japanese) a word may be the whole prompt.
    prompts = (" ".join(s.prompt.split()[:PROMPT_WORDS])[:PROMPT_CHARACTERS] for s in samples)
    prompt = next((p.strip() for p in prompts if p.strip()), "Once upon a time")
    # Double quotes are those of every shell; within them some characters mean something else.
    quoted = shlex.quote(prompt) if set(prompt) & set('"$`\\!') else f'"{prompt}"'
    return f"descend generate {shlex.quote(str(folder))} {quoted}"


def suggest_flags(run: RecordedRun, *changes: Change, any_key: bool = False) -> str:
    """Return `try --batch-size 8 or --batch-size 2`: flags of `descend train`.

    Only changes are named that a run like `run` would accept and that change something;
    where none is left, another seed. A diagnosis in the run folder comes first: what it recommends
    for these keys (with `any_key` for all) is named alone, and a direction that its trials showed
    to be worse is left out.
    """
    diagnosis = _readable_diagnosis(run.folder)
    if diagnosis is not None:
        keys = {key for change in changes for key in change}
        recommended = {
            k: v for k, v in merge_recommendations(diagnosis).items() if any_key or k in keys
        }
        if recommended:
            return f"try `{_flags(recommended)}` as the diagnosis of this run recommends"
        changes = tuple(c for c in changes if not _was_worse(run, c, diagnosis))
    flags = [f"`{_flags(change)}`" for change in changes if _possible(run, change)]
    if not flags:
        return f"try another seed (`--seed {run.config.seed + 1}`)"
    return "try " + " or ".join([", ".join(flags[:-1])] * (len(flags) > 1) + flags[-1:])


DIRECTIONS = {
    "learning_rate_too_low": ("learning_rate", 1),
    "learning_rate_too_high": ("learning_rate", -1),
    "batch_too_small": ("batch_size", 1),
    "batch_too_large": ("batch_size", -1),
    "context_too_short": ("seq_len", 1),
    "model_too_small": ("embed_dim", 1),
    "undertrained": ("epoch", 1),
}
"""By cause, the setting that its trial changes, and whether upward (1) or downward (-1)."""


def _readable_diagnosis(folder: Path) -> Diagnosis | None:
    """Return the diagnosis in a run folder; None also where it is damaged, since a page has more to
    say than that."""
    try:
        return load_saved_diagnosis(folder)
    except RunFolderError:
        return None


def _was_worse(run: RecordedRun, change: Change, diagnosis: Diagnosis) -> bool:
    """Return whether the 95 % interval of a trial in the direction of `change` lies below zero."""
    for other in diagnosis.ruled_out:
        key, sign = DIRECTIONS.get(other.cause, ("", 0))
        own, value = getattr(run.config, key, None), change.get(key)
        if other.trial is None or other.trial.ci95 is None or other.trial.ci95[1] >= 0:
            continue
        if (
            isinstance(own, int | float)
            and isinstance(value, int | float)
            and (value - own) * sign > 0
        ):
            return True
    return False


def suggest_comparison(run: RecordedRun, *changes: Change, any_key: bool = False) -> str:
    """Return `suggest_flags` with what its result is to be held against."""
    return f"{suggest_flags(run, *changes, any_key=any_key)} {comparison_baseline_text(run)}"


def comparison_baseline_text(run: RecordedRun) -> str:
    """Return what the result of a trial is to be held against."""
    loss = run.summary.validation_loss
    return f"and compare with the validation loss of {loss:.3f} that this run reached"


def alternative_learning_rates(run: RecordedRun) -> list[Change]:
    """Return the peak rate of `run` times three and divided by three, the higher first; of a rate
    far outside `TYPICAL_RATES` two of those."""
    peak = run.peak_learning_rate
    low, high = TYPICAL_RATES
    rates = (peak * 3, peak / 3)
    if not low / 3 <= peak <= high * 3:
        rates = (high, USUAL_RATE) if peak > high else (USUAL_RATE, low)
    # A rate per epoch belongs to its own schedule: one rate needs another.
    one: dict[str, object] = {"schedule": "wsd"} if run.config.schedule == "piecewise" else {}
    return [one | {"learning_rate": rate} for rate in rates]


def _possible(run: RecordedRun, change: Change) -> bool:
    values = run.config.model_dump()
    if "epoch" in change and values["max_steps"]:  # it decided the length, not this epoch
        values |= {"epoch": None, "max_steps": None}
    try:
        make_config(values | dict(change))
    except ConfigError:
        return False
    return any(values[key] != value for key, value in change.items())


def _flags(change: Change) -> str:
    return " ".join(f"--{key.replace('_', '-')} {_value(value)}" for key, value in change.items())


def _value(value: object) -> str:
    return format_significant(value) if isinstance(value, float) else str(value)

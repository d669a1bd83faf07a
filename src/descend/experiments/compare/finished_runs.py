"""Runs that were made already, side by side: nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from descend.config import NON_SEMANTIC_KEYS
from descend.errors import ConfigError, RunFolderError
from descend.runs.run_folder import RunMetadata, has_summary, read_info, read_summary
from descend.runs.suggestions import suggest_fix

MIN_GAIN_BITS = 0.01
"""Bits per byte under which two single runs are not told apart: three times the standard deviation
across seeds of a small run (0.006 nats per token, tiny Shakespeare, of about 2 bytes a token)."""


class FinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a line of the comparison; of an unfinished one its best epoch so far."""

    run: str
    bits_per_byte: float
    gain: float | None
    """Bits per byte better than the first run: positive is better. None for the first, and where
    the two were not judged on the same text."""
    validation_loss: float
    """Nats per token of its own vocabulary: not comparable where vocabularies differ."""
    accuracy: float
    parameters: int
    epochs: int
    seconds: float
    finished: bool


class FinishedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """`compare --json RUN RUN`."""

    runs: list[FinishedRun]
    differences: dict[str, list[str]]
    """Settings that are not alike in all runs, with the value of each run."""
    same_validation: bool
    """Whether all were judged on the same text."""
    sentence: str


def compare_finished(folders: Sequence[Path]) -> FinishedComparison:
    """Compare the runs in `folders`, of which the first is what the others are held against.

    `RunFolderError` for one that is no run or was never judged, `ConfigError` for fewer than two.
    """
    if len(folders) < 2:
        raise ConfigError("compare", "one run", "two or more", "name another run")
    infos = [read_info(folder) for folder in folders]
    for folder in folders:
        if not has_summary(folder):
            raise RunFolderError(
                str(folder), "a run that was not judged on validation text yet",
                "one that came to the end of an epoch", suggest_fix(folder),
            )  # fmt: skip
    validation_sets = {_validation_of(info) for info in infos}
    same = len(validation_sets) == 1
    runs: list[FinishedRun] = []
    for folder in folders:
        summary = read_summary(folder)
        first = runs[0].bits_per_byte if runs else None
        runs.append(FinishedRun(
            run=str(folder),
            bits_per_byte=summary.bits_per_byte,
            gain=first - summary.bits_per_byte if same and first is not None else None,
            validation_loss=summary.validation_loss,
            accuracy=summary.validation_accuracy,
            parameters=summary.parameters,
            epochs=len(summary.epochs),
            seconds=summary.seconds,
            finished=summary.finished,
        ))  # fmt: skip
    return FinishedComparison(
        runs=runs,
        differences=_differences(infos),
        same_validation=same,
        sentence=_sentence(runs, same),
    )


def _validation_of(info: RunMetadata) -> tuple[object, ...]:
    """What decides the text that a run is judged on."""
    keys = ("seed", "validation_fraction", "sample_size", "normalize")
    return (info.corpus["corpus_sha256"], *(info.resolved_config[key] for key in keys))


def _differences(infos: Sequence[RunMetadata]) -> dict[str, list[str]]:
    differences = {}
    for key in infos[0].resolved_config:
        values = [str(info.resolved_config.get(key)) for info in infos]
        if key not in NON_SEMANTIC_KEYS and len(set(values)) > 1:
            differences[key] = values
    return differences


def _sentence(runs: Sequence[FinishedRun], same: bool) -> str:
    if not same:
        return (
            "The runs have different validation texts, so their losses cannot be compared. Use "
            "`descend evaluate` to evaluate each of them on one text."
        )
    best = min(runs, key=lambda r: r.bits_per_byte)
    rest = min(r.bits_per_byte for r in runs if r is not best)
    lead = rest - best.bits_per_byte
    if lead < MIN_GAIN_BITS:
        return (
            f"The best two differ by {lead:.3f} bits per byte, which is within seed-to-seed "
            "variation: no reliable difference."
        )
    return (
        f"{best.run} is better by {lead:.3f} bits per byte, with one run each. For a significance "
        "test over several seeds, run `descend compare --arm RUN --arm RUN`."
    )

"""Runs that were made already, side by side: nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from descend.config import NON_SEMANTIC_KEYS
from descend.errors import ConfigError, RunFolderError
from descend.runs.epochs_read import count_epochs_read
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import RunMetadata, has_summary
from descend.runs.suggestions import suggest_fix


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
    epochs: float
    """How often its text was read; below one for a part of the text."""
    seconds: float
    finished: bool
    bigram_accuracy: float | None = None
    """Accuracy of the bigram baseline on the same text; null for older runs."""


class FinishedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """`compare --json RUN RUN`."""

    runs: list[FinishedRun]
    differences: dict[str, list[str]]
    """Settings that are not alike in all runs, with the value of each run."""
    same_validation: bool
    """Whether all were judged on the same text."""
    sentence: str = ""
    """The answer in plain words, which `report.text.experiment_summary` makes."""


def compare_finished(folders: Sequence[Path]) -> FinishedComparison:
    """Compare the runs in `folders`, of which the first is what the others are held against.

    `RunFolderError` for one that is no run or was never judged, `ConfigError` for fewer than two.
    """
    if len(folders) < 2:
        raise ConfigError("compare", "one run", "two or more", "name another run")
    recorded_runs = [RecordedRun(folder) for folder in folders]
    infos = [run.metadata for run in recorded_runs]
    for folder in folders:
        if not has_summary(folder):
            raise RunFolderError(
                str(folder), "a run without a validation loss",
                "one that came to the end of an epoch", suggest_fix(folder),
            )  # fmt: skip
    validation_sets = {_validation_of(run) for run in recorded_runs}
    same = len(validation_sets) == 1
    runs: list[FinishedRun] = []
    for recorded_run in recorded_runs:
        summary = recorded_run.summary
        first = runs[0].bits_per_byte if runs else None
        runs.append(FinishedRun(
            run=str(recorded_run.folder),
            bits_per_byte=summary.bits_per_byte,
            gain=first - summary.bits_per_byte if same and first is not None else None,
            validation_loss=summary.validation_loss,
            accuracy=summary.validation_accuracy,
            parameters=summary.parameters,
            epochs=count_epochs_read(summary),
            seconds=summary.seconds,
            finished=summary.finished,
            bigram_accuracy=summary.accuracy_baselines.get("bigram"),
        ))  # fmt: skip
    return FinishedComparison(
        runs=runs,
        differences=_differences(infos),
        same_validation=same,
    )


def _validation_of(run: RecordedRun) -> tuple[object, ...]:
    """Return what decides the text that a run is judged on."""
    keys = ("data_seed", "validation_fraction", "sample_size", "normalize")
    return (run.metadata.corpus["corpus_sha256"], *(getattr(run.config, key) for key in keys))


def _differences(infos: Sequence[RunMetadata]) -> dict[str, list[str]]:
    differences = {}
    for key in infos[0].resolved_config:
        values = [str(info.resolved_config.get(key)) for info in infos]
        if key not in NON_SEMANTIC_KEYS and len(set(values)) > 1:
            differences[key] = values
    return differences

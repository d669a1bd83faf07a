"""Trials of a diagnosis as they end, for whoever watches: an effect with its interval so far."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from descend.diagnosis.diagnosis_result import PairedTrial
from descend.diagnosis.effects import estimate_effects
from descend.diagnosis.findings import to_paired_trial
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_series import TrialSeries
from descend.progress import ProgressCallback


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one treatment showed so far; a later report of the same change replaces it."""

    cause: str
    trial: PairedTrial
    """Corrected for the trials that had ended by then."""


class TrialReporter:
    """A progress callback that also hands each trial to `on_trial` as it ends."""

    def __init__(
        self, on_progress: ProgressCallback, on_trial: Callable[[TrialReport], None]
    ) -> None:
        self._on_progress, self._on_trial = on_progress, on_trial

    def __call__(self, stage: str, fraction: float, /) -> None:
        """Pass the progress of a stage on."""
        self._on_progress(stage, fraction)

    def on_trial(self, series: TrialSeries, treatment: Treatment) -> None:
        """Report the effect of `treatment` over all seeds that ran so far."""
        for effect in estimate_effects(series, None):
            if effect.treatment == treatment:
                trial = to_paired_trial(effect, series.run_fraction)
                self._on_trial(TrialReport(cause=treatment.cause, trial=trial))

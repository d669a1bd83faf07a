"""What an improvement consists of: models that were trained, trials that led there, what each
change brought. Plain records, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from descend.artifacts import IMPROVEMENT
from descend.errors import RunFolderError
from descend.experiments.experiment_folder import read_record, write_record
from descend.experiments.text_fractions import FractionPoint
from descend.trials.paired_stats import paired_interval

Origin = Literal[
    "your run", "repaired", "planned", "treated", "another plan", "distilled", "interrupted"
]
"""`repaired`: your run with changes that helped it in trials. `distilled`: trained on the
predictions of earlier models as well. `interrupted`: out of the checkpoint of a training that is
not finished yet."""


class TrainedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of an improvement, with its run folder."""

    run: str
    origin: Origin
    changes: dict[str, Any]
    """Keys that differ from those of the model before."""
    bits_per_byte: float
    """Of the validation set: the same bytes for every model."""
    predicted: float | None
    """Bits per byte that were predicted before the first step."""
    seconds: float
    """Of training."""
    pieces: list[float] = []
    """Bits per byte of pieces of the validation set, the same for every model."""
    settings: dict[str, Any] = {}
    """Those that decide the result, as they were resolved."""
    elapsed_seconds: float = 0.0
    """From the beginning of the improvement to the evaluation of this model."""


class TreatmentTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A short run with a change against one without it: equal seed, data and time."""

    cause: str
    strength: float
    """1: the change as the cause recommends it; 2: twice as far, by ratio; 0.5: half as far."""
    changes: dict[str, Any]
    control: float
    """Bits per byte without the change."""
    treated: float
    gain: float
    """Bits per byte; above 0: lower with the change."""
    ci95: tuple[float, float] | None
    """Of `gain`, over pieces of the validation set; None where the vocabulary differs."""
    pruned: bool
    """Ended early, since it was behind."""
    accepted: bool
    seconds: float
    is_of_your_run: bool = False
    """Whether it changes the run that was given, not the planned one."""


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What a change brought."""

    reason: str
    changes: dict[str, Any]
    gain: float
    """Bits per byte."""
    ci95: tuple[float, float] | None
    measured_by: Literal["full runs", "short trial", "short trial without it"]
    seconds: float | None = None
    """Of training of a trial without it."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What more of something would bring."""

    more: str
    bits_per_byte: float
    interval: tuple[float, float] | None = None
    """80 %: of the law, from how far planned runs ended from it; of trials, over seeds and pieces
    of the validation set."""
    measured_by: Literal["scaling law", "text fractions"] = "scaling law"


class ExpectedResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one planned training is expected to reach by a moment, by the scaling law."""

    seconds: float
    """From the beginning of the improvement."""
    bits_per_byte: float
    interval: tuple[float, float]
    """80 %."""


class TextNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the text, and what was done about it."""

    duplicate_fraction: float
    """Fraction of bytes in documents that stand in the text before."""
    duplicates_removed: bool
    contaminated_fraction: float
    """Fraction of validation bytes that stand in the training text too."""
    contamination_removed: bool
    """Whether they are left out of every figure."""
    text_changed: bool = False
    """Whether the given run was trained on another text than there is now."""
    shift_nats: float | None = None
    """By how much the validation text is less like the training text than its own parts are."""


class Improvement(msgspec.Struct, frozen=True, kw_only=True):
    """`improve --json` and improvement.json."""

    source: str
    """The run or text that it started from."""
    corpus: str
    candidates: list[TrainedModel] = []
    trials: list[TreatmentTrial] = []
    text_notes: TextNotes | None = None
    contributions: list[Contribution] = []
    setting_effects: list[Contribution] = []
    """What each group of settings of the best model is worth, by leaving it out."""
    text_fractions: list[FractionPoint] = []
    """Loss against fractions of the text, by trials."""
    expectations: list[Expectation] = []
    forecast: list[ExpectedResult] = []
    """Made before the first training of the latest call."""
    trainings: dict[str, float] = {}
    """Seconds from the beginning to the start of each training, by its run folder."""
    stopped: str | None = None
    """Why it ended; None: it was interrupted, and the same command goes on."""
    seconds: float = 0.0
    """Of all calls together, up to the latest result."""

    @property
    def best(self) -> TrainedModel | None:
        """The model of the lowest bits per byte."""
        return min(self.candidates, key=lambda c: c.bits_per_byte, default=None)


def add(
    improvement: Improvement, *, candidate: TrainedModel | None = None,
    trial: TreatmentTrial | None = None,
) -> Improvement:  # fmt: skip
    """Return `improvement` with a model or a trial more."""
    candidates = improvement.candidates + ([candidate] if candidate else [])
    trials = improvement.trials + ([trial] if trial else [])
    return msgspec.structs.replace(improvement, candidates=candidates, trials=trials)


def find_origin(improvement: Improvement, settings: Mapping[str, Any]) -> Origin:
    """Find why the model with these resolved `settings`, which has no result yet, is trained."""
    if settings.get("teachers"):
        return "distilled"
    origins: tuple[tuple[Origin, bool], ...] = (("repaired", True), ("treated", False))
    for origin, is_of_your_run in origins:
        changes: dict[str, Any] = {}
        for trial in improvement.trials:
            if trial.accepted and trial.is_of_your_run == is_of_your_run:
                changes |= trial.changes
        if changes and changes.items() <= settings.items():
            return origin
    is_first = all(model.origin != "planned" for model in improvement.candidates)
    return "planned" if is_first else "another plan"


def save(improvement: Improvement, folder: Path) -> None:
    """Write improvement.json: what was found so far."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder, IMPROVEMENT, improvement)


def open_improvement(folder: Path, source: str, corpus: str) -> Improvement:
    """Return the improvement in `folder`, or a new one; `RunFolderError` for one of something
    else."""
    if not (folder / IMPROVEMENT).exists():
        return Improvement(source=source, corpus=corpus)
    improvement = read_record(folder, IMPROVEMENT, Improvement)
    if improvement.source != source:
        raise RunFolderError(
            "save_dir", f"{folder}, an improvement of {improvement.source}", f"one of {source}",
            "choose another save_dir",
        )  # fmt: skip
    return improvement


def without_interrupted(improvement: Improvement) -> Improvement:
    """Return `improvement` without the models out of checkpoints, once those runs are finished."""
    finished = [c for c in improvement.candidates if c.origin != "interrupted"]
    return msgspec.structs.replace(improvement, candidates=finished)


REASONS: dict[Origin, str] = {
    "planned": "the planned recipe instead of yours",
    "repaired": "your settings with what helped in trials, instead of the planned recipe",
    "treated": "all of these in a full run",
    "another plan": "another plan",
    "distilled": "learning from the predictions of the earlier models",
}
"""What a model has that the best one before it has not."""


def contributions(improvement: Improvement) -> list[Contribution]:
    """Return what each change brought, from the first model to the best one."""
    parts: list[Contribution] = []
    best = improvement.best
    before: TrainedModel | None = None
    for model in improvement.candidates:
        if before is not None:
            if model.origin == "treated":
                parts += [
                    Contribution(
                        reason=t.cause, changes=t.changes, gain=t.gain, ci95=t.ci95,
                        measured_by="short trial",
                    )
                    for t in improvement.trials if t.accepted and not t.is_of_your_run
                ]  # fmt: skip
            reason = REASONS.get(model.origin, "another run")
            if model.origin == "planned" and before.origin != "your run":
                reason = "another plan"
            parts.append(_between(before, model, reason))
        if before is None or model.bits_per_byte < before.bits_per_byte:
            before = model
        if model is best:
            break
    return parts


def _between(before: TrainedModel, after: TrainedModel, reason: str) -> Contribution:
    changes = {k: v for k, v in after.settings.items() if before.settings.get(k, v) != v}
    return Contribution(
        reason=reason, changes=changes or after.changes,
        gain=before.bits_per_byte - after.bits_per_byte, ci95=gain_interval(before, after),
        measured_by="full runs",
    )  # fmt: skip


def gain_interval(before: TrainedModel, after: TrainedModel) -> tuple[float, float] | None:
    """Return 95 % interval of the gain in bits per byte, over pieces of the validation set.

    It says how sure the gain is on other text, and nothing of other seeds.
    """
    if len(before.pieces) != len(after.pieces) or len(before.pieces) < 2:
        return None
    gains = [a - b for a, b in zip(before.pieces, after.pieces, strict=True)]
    interval = paired_interval(gains)
    return interval.low, interval.high

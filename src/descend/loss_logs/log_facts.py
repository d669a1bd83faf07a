"""What a log tells beside its losses: who wrote it, in which units, and what its rows look like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from descend.loss_logs.column_names import column_meaning
from descend.loss_logs.failure_scan import FailureScan
from descend.loss_logs.log import RunLosses
from descend.loss_logs.log_row import Row
from descend.loss_logs.number_parsing import number
from descend.loss_logs.reward_measures import RewardMeasures

MIN_SCORES = 3
"""Scores of 0 from which the note is made that none is above it."""
MIN_BASE_FRACTION = 0.5
"""A loss under which powers of 2 and of e are too alike to tell the base."""


@dataclass
class LogFacts:
    """What has been counted and noted so far."""

    kind: str = "console output"
    adam: bool = False
    """Whether the log names Adam as its optimizer."""
    skipped: int = 0
    """Lines or objects without a loss."""
    rows: int = 0
    """Rows with a loss."""
    objects: int = 0
    """Lines that are a JSON object."""
    dictionaries: int = 0
    """Rows printed as a dictionary of Python."""
    progress_lines: int = 0
    """Rows that are a progress line of Keras."""
    names: set[str] = field(default_factory=set)
    """Names of columns and keys."""
    notes: list[str] = field(default_factory=list)
    resumed_at: list[float] = field(default_factory=list)
    """Steps that the log went back to, where it held later ones already."""
    earlier_runs: list[RunLosses] = field(default_factory=list)
    """Runs of which nothing is left in the points, since another one began after them."""
    first_accuracy: float | None = None
    """The first fraction of right predictions, from 0 to 1."""
    last_accuracy: float | None = None
    scores: list[float] = field(default_factory=list)
    lost_terms: set[str] = field(default_factory=set)
    """Names of terms that are no number where the whole loss is none."""
    lost_validations: int = 0
    """Rows with a validation loss that is no number, beside losses that are."""
    measures: RewardMeasures = field(default_factory=RewardMeasures)
    failure_scan: FailureScan = field(default_factory=FailureScan)
    base_two: int = 0
    """Rows whose perplexity is 2 to the loss, less those where it is e to it."""

    def read_end(self, line: str) -> None:
        """Look whether `line`, whose row has been added, ends the run."""
        self.failure_scan.read(line, self.rows)

    def note_accuracy(self, row: Row) -> None:
        """Note the first accuracy, and the last one."""
        if row.accuracy is not None:
            self.last_accuracy = row.accuracy
        if self.first_accuracy is None:
            self.first_accuracy = row.accuracy

    def note_score(self, score: float | None) -> None:
        """Note the score of a row, as spaCy measures it on the development data."""
        if score is not None:
            self.scores.append(score)

    def note_lost_terms(self, cells: Mapping[str, Any], row: Row) -> None:
        """Note which terms of a loss that is no number are none themselves, and since when."""
        for name in cells:
            meaning = column_meaning(name)
            value = number(cells[name])
            is_term = meaning is not None and meaning.role == "loss" and meaning.rank > 0
            if is_term and value is not None and math.isnan(value) and name not in self.lost_terms:
                place = "an entry" if row.epoch is None else f"epoch {row.epoch:g}"
                place = place if row.step is None else f"step {row.step:g}"
                self.lost_terms.add(name)
                self.notes.append(f"{name} is no number, first at {place}")

    def judge_scores(self) -> None:
        """Add a note where no score is above 0."""
        if len(self.scores) >= MIN_SCORES and not any(self.scores):
            self.notes.append(
                f"the score on the development data is 0 in all {len(self.scores)} rows: nothing "
                "is predicted right. Try a tenth of the learning rate with a warm-up (5e-5 is "
                "usual for a pretrained transformer), and compare the labels of both data sets"
            )

    def compare_perplexity(self, row: Row) -> None:
        """Note whether the perplexity beside a loss is 2 or e to its power."""
        for split, value in row.perplexities:
            for _, other, _, loss in row.losses[:1]:
                is_known = split == other and value > 1 and math.isfinite(value)
                if is_known and loss > MIN_BASE_FRACTION:
                    two = abs(math.log2(value) - loss) < abs(math.log(value) - loss)
                    self.base_two += 1 if two else -1

    @property
    def uses_adam(self) -> bool:
        """Whether Adam is named, or the log is of the Trainer, whose default it is."""
        return self.adam or self.dictionaries > self.rows / 2

    @property
    def description(self) -> str:
        """The kind of log, more exactly where its rows show it."""
        if self.kind != "console output":
            return self.kind
        if self.progress_lines:
            return "console output, progress lines of Keras"
        if self.objects > self.rows / 2:
            return "JSON lines"
        if self.dictionaries > self.rows / 2:
            return "console output, dictionaries of the Hugging Face Trainer"
        return self.kind

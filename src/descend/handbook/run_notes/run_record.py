"""A run as the handbook reads it: its settings, its records, and small sums over them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from descend.config import RunConfig, make_config
from descend.errors import RunFolderError
from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Event, Step, WeightUpdateStats
from descend.runs.run_files import RunMetadata, RunSummary, read_info
from descend.runs.run_folder import read_summary
from descend.runs.suggestions import suggest_fix


@dataclass(frozen=True)
class RunRecord:
    """All that pages may speak of; nothing here judges."""

    folder: Path
    info: RunMetadata
    summary: RunSummary
    config: RunConfig
    """As resolved: what was left open is filled in."""
    records: list[Event]

    @cached_property
    def steps(self) -> list[Step]:
        """One record an update."""
        return [r for r in self.records if isinstance(r, Step)]

    @cached_property
    def matrices(self) -> list[WeightUpdateStats]:
        """One record every 25 updates."""
        return [r for r in self.records if isinstance(r, WeightUpdateStats)]

    @property
    def epochs(self) -> list[Epoch]:
        """One record a pass over the text."""
        return self.summary.epochs

    @property
    def best(self) -> Epoch:
        """The epoch of the lowest validation loss, whose weights are kept."""
        return next(e for e in self.epochs if e.epoch == self.summary.best_epoch)

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one update."""
        return self.config.batch_size * self.config.seq_len

    @property
    def updates(self) -> int:
        """Updates made so far."""
        return self.steps[-1].step

    @property
    def total_steps(self) -> int:
        """Of the whole run; of an unfinished one as many as its epochs so far lead to expect."""
        last = self.epochs[-1]
        if self.summary.finished:
            return last.step
        steps = round(last.step / last.epoch * (self.config.epoch or 1))
        return min(steps, self.config.max_steps or steps)

    @property
    def full_seconds(self) -> float:
        """Training time of the whole run, had it come to its end: by the median of its steps."""
        if not self.steps:
            return 0.0
        return self.total_steps * statistics.median(s.seconds for s in self.steps)

    @property
    def ngram_baselines(self) -> dict[str, float]:
        """Losses in nats per token on the held-out text: uniform, unigram, bigram."""
        return self.summary.ngram_baselines

    @property
    def bytes_per_token(self) -> float:
        """Of the held-out text."""
        return self.corpus_count("validation_bytes") / max(
            self.corpus_count("validation_tokens"), 1
        )

    def corpus_count(self, key: str) -> int:
        """A count of the corpus, such as `train_tokens`."""
        return int(self.info.corpus[key])

    @cached_property
    def update_ratios(self) -> dict[str, float]:
        """Median ratio of update to weight of each matrix, over the records after warmup (all,
        if none came after). A matrix that starts at zero counts from its second record on: a
        ratio to nothing says nothing."""
        warmup = self.config.warmup_steps or 0
        records = [m for m in self.matrices if m.step > warmup] or self.matrices
        ratios: dict[str, list[float]] = {}
        for record in records:
            for name, ratio in record.update_to_weight_ratio.items():
                if record.weight_rms[name] > 0:
                    ratios.setdefault(name, []).append(ratio)
        return {name: statistics.median(values) for name, values in ratios.items()}

    @cached_property
    def gradient_norms(self) -> list[float]:
        """Norm of all gradients before clipping, of each update that was made."""
        return [s.gradient_norm for s in self.steps if s.gradient_norm is not None]

    @property
    def clipped_step_fraction(self) -> float:
        """Share of updates whose gradients were scaled down."""
        return sum(s.clipped for s in self.steps) / len(self.steps)


def read_run(folder: Path) -> RunRecord:
    """The run in `folder`; `RunFolderError` if it is none, or has no finished epoch yet."""
    info, records = read_info(folder), read_events(folder)
    if not any(isinstance(r, Epoch) for r in records):
        raise RunFolderError(
            str(folder), "a run that has not finished its first epoch", "at least one epoch",
            f"let it train on, or {suggest_fix(folder)}",
        )  # fmt: skip
    return RunRecord(folder, info, read_summary(folder), make_config(info.resolved_config), records)

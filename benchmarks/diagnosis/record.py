"""What a run leaves behind, as the baselines see it: settings and curve, no text, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Step, TrainingStopped, WeightUpdateStats
from descend.runs.run_files import read_info


@dataclass(frozen=True)
class RunRecord:
    """`losses`, `norms`: one a step; `validation`, `training`: one an epoch (nats per token)."""

    config: dict[str, Any]
    vocab_size: int
    train_tokens: int
    uniform: float
    unigram: float
    losses: list[float]
    norms: list[float]
    validation: list[float]
    training: list[float]
    update_ratios: list[float]
    diverged: bool


def read_record(folder: Path) -> RunRecord:
    """The record of the run in `folder`."""
    info, events = read_info(folder), read_events(folder)
    steps = [r for r in events if isinstance(r, Step)]
    epochs = [r for r in events if isinstance(r, Epoch)]
    matrices = [r for r in events if isinstance(r, WeightUpdateStats)]
    return RunRecord(
        config=info.resolved_config,
        vocab_size=int(info.corpus["vocab_size"]),
        train_tokens=int(info.corpus["train_tokens"]),
        uniform=info.corpus["ngram_baselines"]["uniform"],
        unigram=info.corpus["ngram_baselines"]["unigram"],
        losses=[s.loss for s in steps],
        norms=[s.gradient_norm for s in steps if s.gradient_norm is not None],
        validation=[e.validation_loss for e in epochs],
        training=[e.loss_end for e in epochs],
        # At the first look some matrices stand at zero, of which every update is infinitely large.
        update_ratios=[r for m in matrices[1:] for r in m.update_to_weight_ratio.values()],
        diverged=any(isinstance(r, TrainingStopped) and r.reason == "diverged" for r in events),
    )

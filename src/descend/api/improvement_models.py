"""The models of an improvement: where they lie, and how they are judged on the same text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from descend.config import RunConfig, make_config
from descend.data.prepare import prepare_tokens
from descend.data.token_store import TokenStore
from descend.diagnosis.corpus_metrics import validation_shift
from descend.diagnosis.recommended_config import requested_run_config
from descend.experiments.improvement import Origin, TextNotes, TrainedModel
from descend.experiments.text_treatment import TextTreatment
from descend.experiments.validation_text import (
    MAX_BYTES,
    ModelScore,
    score_network,
    without_contamination,
)
from descend.metrics.measurement import Measurements
from descend.planner.make_plan import CorpusPlan
from descend.runs.model_files import load_model
from descend.runs.run_files import read_info
from descend.runs.run_folder import read_summary
from descend.training.checkpoint_model import save_checkpoint_model

MODEL_PREFIX = "model_"

COMPARED_KEYS = (
    "architecture", "optimizer", "schedule", "vocab_size", "tokenizer", "embed_dim", "num_heads",
    "num_layers", "ff_dim", "max_seq_len", "seq_len", "batch_size", "learning_rate",
    "weight_decay", "dropout_rate", "token_dropout", "bpe_dropout", "label_smoothing",
    "gradient_clip", "epoch", "max_steps",
)  # fmt: skip
"""Settings that are shown where two models differ in them."""

MAX_SHIFT_TOKENS = 100_000
"""Training tokens up to which a shift of the validation text is looked for: about a second."""

FIRST_BYTES_PER_SECOND = 40_000
"""Bytes that are judged in a second until one model was timed: about those of a network of 3
million parameters on one core."""

SCORE_MARGIN = 1.5
"""How much longer judging the next model may take than the last."""


def model_folders(folder: Path) -> list[Path]:
    """Return the runs in the folder of an improvement, in the order in which they were made."""
    paths = folder.glob(f"{MODEL_PREFIX}*")
    numbered = [p for p in paths if p.name.removeprefix(MODEL_PREFIX).isdigit()]
    return sorted(numbered, key=lambda p: int(p.name.removeprefix(MODEL_PREFIX)))


TEXT_KEYS = ("encoding", "text_column", "split", "sample_size", "normalize", "seed",
             "split_seed", "validation_fraction")  # fmt: skip
"""Keys that decide which text a model is trained and judged on: those of the run stay."""


def has_tokenizer_of(model: TrainedModel, other: TrainedModel) -> bool:
    """Return whether both models read the text in the same tokens, so one can teach the other."""
    keys = ("tokenizer", "vocab_size")
    return all(model.settings.get(key) == other.settings.get(key) for key in keys)


def text_keys(run: Path) -> dict[str, Any]:
    """Return the text of `run`, and what decides which part of it is the validation set."""
    settings = requested_run_config(run)
    return {k: settings[k] for k in ("corpus_dir", *TEXT_KEYS) if settings.get(k) is not None}


class ModelJudge:
    """Judges models on the validation bytes that are the same for all of them."""

    def __init__(self, treatment: TextTreatment) -> None:
        self.text = treatment.validation
        self.notes = TextNotes(
            duplicate_fraction=treatment.duplicate_fraction,
            duplicates_removed=treatment.is_applied,
            contaminated_fraction=0.0, contamination_removed=False,
        )  # fmt: skip
        self.seconds = min(len(self.text.counted), MAX_BYTES) / FIRST_BYTES_PER_SECOND
        """To keep free for judging the next model."""
        self._is_checked = False

    def judge(
        self, run: Path, origin: Origin, changes: dict[str, Any], predicted: float | None
    ) -> TrainedModel:
        """Return the finished `run` as a model of the improvement."""
        score = self._score(run, run)
        info = read_info(run)
        settings = info.resolved_config
        if origin == "your run":
            changed = info.corpus["corpus_sha256"] != self.text.corpus.documents.sha256
            self.notes = msgspec.structs.replace(self.notes, text_changed=changed)
        return TrainedModel(
            run=str(run), origin=origin, changes=changes, bits_per_byte=score.bits_per_byte,
            predicted=predicted, seconds=read_summary(run).seconds, pieces=score.pieces,
            settings={k: settings[k] for k in COMPARED_KEYS if k in settings},
        )  # fmt: skip

    def judge_interrupted(self, run: Path, target: Path) -> TrainedModel | None:
        """Return the model so far of the unfinished `run`, written to `target`; None without
        one."""
        seconds = save_checkpoint_model(run, target)
        if seconds is None:
            return None
        score = self._score(target, run)
        return TrainedModel(
            run=str(target), origin="interrupted", changes={}, bits_per_byte=score.bits_per_byte,
            predicted=None, seconds=seconds, pieces=score.pieces,
        )  # fmt: skip

    def add_measurements(self, measurements: Measurements) -> None:
        """Note what the measurements of a run say of its text."""
        shift = measurements.get("distribution_shift_nats")
        if shift is not None:
            self.notes = msgspec.structs.replace(self.notes, shift_nats=shift.value)

    def _score(self, model: Path, run: Path) -> ModelScore:
        began = time.perf_counter()
        loaded = load_model(model)
        if not self._is_checked:
            self.text, self._is_checked = without_contamination(self.text, loaded.tokenizer), True
            fraction = self.text.contaminated_fraction
            self.notes = msgspec.structs.replace(
                self.notes, contaminated_fraction=fraction,
                contamination_removed=self.text.leaves_out_contamination,
                shift_nats=_shift_of(prepare_tokens(self.text.corpus, loaded.tokenizer)),
            )  # fmt: skip
            began = time.perf_counter()
        context = int(read_info(run).resolved_config["seq_len"])
        score = score_network(loaded.model, loaded.tokenizer, self.text, context)
        self.seconds = SCORE_MARGIN * (time.perf_counter() - began)
        return score


def _shift_of(store: TokenStore) -> float | None:
    """Return the shift of the validation text in nats; None for a text that would take seconds."""
    return validation_shift(store) if len(store.train) <= MAX_SHIFT_TOKENS else None


def as_long_as(config: RunConfig, timed: RunConfig, planned: CorpusPlan) -> RunConfig:
    """Return `config` for the minutes of `timed`, with as many tokens as it may train on."""
    tokens = (timed.max_steps or planned.plan.predicted.steps) * timed.batch_size * timed.seq_len
    steps = max(1, round(tokens / (config.batch_size * config.seq_len)))
    keys = {"minutes": timed.minutes, "max_steps": steps, "epoch": None, "warmup_steps": None}
    return make_config(config.model_dump() | keys)

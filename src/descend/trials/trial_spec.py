"""A trial as it is requested (`TrialSpec`), and its result (`TrialResult`): plain data, no torch.

Two trials with the same seed and text share their initial weights (where the shapes agree), the
order of their data and the validation text they are judged on: pairs are made by seed.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from descend.config import NON_SEMANTIC_KEYS, RunConfig
from descend.data.corpus import resolve_corpus
from descend.data.readers.options import read_options
from descend.errors import ConfigError
from descend.machine import resolve_device
from descend.runs.run_files import WEIGHTS, weights_path
from descend.runs.weight_files import names_by_shard

# Raised whenever a trial of the same spec would come out otherwise, so that old ones are not met.
# Since 5, seconds on a processor are those at work; before, they said how busy the machine was.
_FORMAT = 5

EVALUATION_TOKENS = 32_768

SEARCH_EVALUATION_TOKENS = EVALUATION_TOKENS // 2
"""For trials that are evaluated several times while they run."""

_KEYS_NOT_HASHED = (
    *NON_SEMANTIC_KEYS, "divergence_rollback", "compile", "threads", "num_processes", "minutes",
)  # fmt: skip
"""A trial is as long as its steps, whatever the minutes of a run. None is rolled back: what
diverges must be seen to diverge. None is compiled, and on a processor each takes a thread, however
a run computes."""


class TrialSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One run to be made: what is trained, on how much text, how far. Made by `make_trial_spec`."""

    config: dict[str, Any]
    """`RunConfig.model_dump(mode="json")`, the seed included."""
    steps: int | None = None
    """Updates to make; the schedule spans exactly these. None: as `epoch` says."""
    stop_step: int | None = None
    """Stop after so many of them; the schedule still spans all of `steps`."""
    train_fraction: float = 1.0
    """Fraction of the training tokens to use, spread evenly: see `trials/subsample.py`."""
    evaluate_every: int | None = None
    """Steps between judgments on validation text; there is always one at the end."""
    evaluation_tokens: int = EVALUATION_TOKENS
    """Validation text to judge on, counted at four bytes a token: see `trial_evaluation.py`."""
    parent: str | None = None
    """Folder of a finished model whose weights it starts from; its tokenizer and shape are kept."""

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the result: equal specs have equal results.

        Seconds and memory are part of it, so the device is, as `auto` is understood here. Raises
        `CorpusError` for missing text, `ConfigError` for a missing parent, vocabulary or device.
        """
        config = {
            k: v for k, v in self.config.items() if k not in (*_KEYS_NOT_HASHED, "corpus_dir")
        }
        config["device"] = resolve_device(config["device"])
        if config.get("vocab_path"):
            config["vocab_path"] = _hash_of(Path(config["vocab_path"]), "vocab_path")
        weights = self.parent and _hash_weights(Path(self.parent))
        content = msgspec.structs.replace(self, config=config, parent=weights)
        corpus = resolve_corpus(self.config["corpus_dir"]).fingerprint
        made_of = (_FORMAT, metadata.version("torch"), corpus, content)
        return hashlib.sha256(msgspec.json.encode(made_of, order="deterministic")).hexdigest()


class EvalPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A trial as it stood after `step` updates: losses in nats per token."""

    step: int
    tokens: int
    """Tokens trained on so far, repeats counted."""
    seconds: float
    """Of training so far, as in `TrialResult`."""
    train_loss: float
    """Mean over the steps since the last point."""
    validation_loss: float
    accuracy: float
    bits_per_byte: float


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a trial. Losses in nats per token of validation text."""

    key: str
    steps: int
    """Updates made."""
    tokens: int
    """Tokens trained on, repeats counted."""
    train_tokens: int
    """Tokens of training text that could be used."""
    vocab_size: int
    parameters: int
    seconds: float
    """Of training, judgments and preparation left out: on a processor the time at work of the one
    thread, so that results of a quiet and of a busy hour can be compared; on a GPU by the clock of
    the wall."""
    peak_bytes: int | None
    """Most memory of the device that was held; None on a processor, where it is not measured."""
    curve: list[EvalPoint]
    validation_loss: float
    """At the end; of a trial that diverged: at its last point, or that of guessing, ln V."""
    accuracy: float
    bigram_accuracy: float | None = None
    """Of the bigram baseline on all of the validation text. None in older records."""
    bits_per_byte: float
    diverged_step: int | None
    """Step whose loss, gradient or judgment was not a finite number any more."""
    chunk_losses: list[float]
    """Mean losses of pieces of the validation text: the same pieces for the same tokenizer and
    seed. Empty if the trial diverged before its first judgment."""


def make_trial_spec(
    config: RunConfig,
    *,
    steps: int | None = None,
    train_fraction: float = 1.0,
    evaluate_every: int | None = None,
    evaluation_tokens: int = EVALUATION_TOKENS,
    parent: Path | str | None = None,
) -> TrialSpec:
    """Return the trial that trains `config`; `ConfigError` for a budget that is none.

    With `steps` neither the epochs nor `max_steps` count any more; they are left out, so that
    equal work is one trial.
    """
    limits = {"steps": steps, "evaluate_every": evaluate_every,
              "evaluation_tokens": evaluation_tokens}  # fmt: skip
    for name, value in limits.items():
        if value is not None and value < 1:
            raise ConfigError(name, str(value), "at least 1", "give a larger budget")
    if not 0 < train_fraction <= 1:
        raise ConfigError(
            "train_fraction", str(train_fraction), "above 0, at most 1", "choose a share"
        )
    values = config.model_dump(mode="json") | {"minutes": None}
    if parent is None:  # adapters need a model
        values |= {"lora_rank": None}
    if steps is not None:
        values |= {"epoch": None, "max_steps": None}
    source = resolve_corpus(config.corpus_dir, options=read_options(config))
    if source.is_stream_copy:  # a stream cannot be read again by another process
        values["corpus_dir"] = str(source.paths[0])
    return TrialSpec(
        config=values,
        steps=steps,
        train_fraction=train_fraction,
        evaluate_every=evaluate_every,
        evaluation_tokens=evaluation_tokens,
        parent=None if parent is None else str(parent),
    )


def _hash_weights(parent: Path) -> str:
    file = weights_path(parent)
    if file.name == WEIGHTS:
        return _hash_of(file, "parent")
    return ",".join(_hash_of(parent / name, "parent") for name in sorted(names_by_shard(parent)))


def _hash_of(file: Path, where: str) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as problem:
        raise ConfigError(
            where, f"{file}, which cannot be read ({problem.strerror})", "a file", "check the path"
        ) from None

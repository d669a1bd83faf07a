"""A tokenizer trained for itself and kept as a file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.config import RunConfig
from descend.errors import UserError
from descend.runs.atomic_write import write_file_atomic
from descend.training.assembly import tokenize_corpus


class TrainedTokenizerInfo(msgspec.Struct, frozen=True):
    """A tokenizer that was written, and how many bytes of validation text a token stands for."""

    vocab_size: int
    bytes_per_token: float


def train_and_save_tokenizer(config: RunConfig, output: Path) -> TrainedTokenizerInfo:
    """Train the tokenizer that `config` asks for and write it to `output`."""
    if output.exists():
        raise UserError(str(output), "an existing file", "a new one", "choose another name")
    store = tokenize_corpus(config, begin=True)
    write_file_atomic(output, store.tokenizer.to_bytes())
    bytes_per_token = store.info.validation_bytes / store.info.validation_tokens
    return TrainedTokenizerInfo(store.tokenizer.vocab_size, bytes_per_token)

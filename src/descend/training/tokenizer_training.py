"""A tokenizer trained for itself and kept as a file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.config import RunConfig
from descend.data.prepare import prepare_documents, prepare_tokens
from descend.errors import UserError
from descend.runs.atomic_write import write_file_atomic
from descend.training.training_run import load_or_train_tokenizer


class TrainedTokenizerInfo(msgspec.Struct, frozen=True):
    """A tokenizer that was written, and how many bytes of held-out text a token stands for."""

    vocab_size: int
    bytes_per_token: float


def train_and_save_tokenizer(config: RunConfig, output: Path) -> TrainedTokenizerInfo:
    """Train the tokenizer that `config` asks for and write it to `output`."""
    if output.exists():
        raise UserError(str(output), "an existing file", "a new one", "choose another name")
    text = prepare_documents(config, anew=True)
    tokenizer = load_or_train_tokenizer(config, text)
    write_file_atomic(output, tokenizer.to_bytes())
    info = prepare_tokens(text, tokenizer).info
    return TrainedTokenizerInfo(
        tokenizer.vocab_size, info.validation_bytes / info.validation_tokens
    )

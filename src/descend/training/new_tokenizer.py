"""A tokenizer trained for itself and kept as a file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.config import RunConfig
from descend.errors import UserError
from descend.runs.durable import write_file
from descend.text.store import prepare_text, prepare_tokens
from descend.training.job import tokenizer_for


class MadeTokenizer(msgspec.Struct, frozen=True):
    """A tokenizer that was written, and how many bytes of held-out text a token stands for."""

    vocab_size: int
    bytes_per_token: float


def make_tokenizer(config: RunConfig, output: Path) -> MadeTokenizer:
    """Train the tokenizer that `config` asks for and write it to `output`."""
    if output.exists():
        raise UserError(str(output), "an existing file", "a new one", "choose another name")
    text = prepare_text(config, anew=True)
    tokenizer = tokenizer_for(config, text)
    write_file(output, tokenizer.to_bytes())
    info = prepare_tokens(text, tokenizer).info
    return MadeTokenizer(tokenizer.vocab_size, info.validation_bytes / info.validation_tokens)

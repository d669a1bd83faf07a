"""The one judge of the contest: bits per byte of any arm on the same validation bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from descend.config import make_config
from descend.data.prepare import prepare_documents
from descend.data.tokenizer import load_tokenizer
from descend.experiments.validation_text import score_network, validation_text
from descend.runs.model_files import load_model
from descend.runs.run_files import read_info

GPT_FILE = "arm.json"
"""Beside the model of an arm that is not descend's: its context."""


class Score(NamedTuple):
    """What a model reached, and on which bytes."""

    bits_per_byte: float
    sha256: str
    num_bytes: int


class LogitsOnly(nn.Module):
    """A network of `transformers` as the judge calls it: ids to logits."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) to logits (B, T, V)."""
        logits: Tensor = self.network(input_ids=ids).logits
        return logits


def score_folder(folder: Path, text: Path, **settings: Any) -> Score:
    """Judge the model in `folder` on what `text` holds out with `settings`."""
    corpus = prepare_documents(make_config({"corpus_dir": str(text)} | settings))
    validation = validation_text(corpus)
    if (folder / GPT_FILE).exists():
        from transformers import GPT2LMHeadModel

        context = int(json.loads((folder / GPT_FILE).read_text("utf-8"))["context"])
        network: Any = LogitsOnly(GPT2LMHeadModel.from_pretrained(folder))
        tokenizer = load_tokenizer(folder / "tokenizer.json")
    else:
        loaded = load_model(folder, "cpu")
        network, tokenizer = loaded.model, loaded.tokenizer
        context = int(read_info(folder).resolved_config["seq_len"])
    score = score_network(network, tokenizer, validation, context)
    spans = corpus.split.validation
    content = b"".join(corpus.documents.bytes(start, end) for start, end in spans)
    return Score(score.bits_per_byte, hashlib.sha256(content).hexdigest(), len(content))

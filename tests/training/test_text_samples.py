"""Where the samples of a run begin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
from descend.data.token_store import TokenStore
from descend.runs.events import Sample, Step
from descend.training import trainer
from descend.training.text_samples import PROMPT_TOKENS, PROMPTS, validation_prompts
from descend.training.training_run import create_run


def store_of(documents: list[str], folder: Path, tokenizer: str) -> TokenStore:
    file = folder / "text.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    config = make_config({"corpus_dir": str(file), "tokenizer": tokenizer})
    text = prepare_documents(config)
    return prepare_tokens(text, prepare_tokenizer(text, config.tokenizer, 300))


@pytest.mark.parametrize("tokenizer", ["bpe", "char", "byte"])
@pytest.mark.parametrize("words", [3, 8, 200])
def test_a_prompt_is_of_one_document(own_folder: Path, tokenizer: str, words: int) -> None:
    documents = [" ".join(f"Schüler{n} lernt {k}" for k in range(words)) for n in range(60)]
    store = store_of(documents, own_folder, tokenizer)
    prompts = validation_prompts(store)
    assert len(prompts) == PROMPTS
    for prompt in prompts:
        whole = next(text for text in documents if prompt in text)
        assert 0 < len(store.tokenizer.encode(prompt)) <= PROMPT_TOKENS
        assert not whole.endswith(prompt), "something is left for the model to write"


def test_long_epochs_write_samples_that_change_no_loss(
    tiny: dict[str, Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny | {"epoch": 1, "dropout_rate": 0.1})
    plain = list(trainer.run_training(create_run(config, own_folder / "plain")))
    for name in ("FIRST_SAMPLE_SECONDS", "SAMPLE_INTERVAL_SECONDS"):
        monkeypatch.setattr(trainer, name, 0.0)
    monkeypatch.setattr(trainer, "MAX_SAMPLING_FRACTION", 1.0)
    sampled = list(trainer.run_training(create_run(config, own_folder / "sampled")))
    last = max(r.step for r in plain)
    early = [r for r in sampled if isinstance(r, Sample) and r.step < last]
    assert early
    assert not [r for r in plain if isinstance(r, Sample) and r.step < last]
    losses = [[r.loss for r in records if isinstance(r, Step)] for records in (plain, sampled)]
    assert losses[0] == losses[1]

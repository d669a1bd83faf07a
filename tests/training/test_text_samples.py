"""Where the samples of a run begin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from descend import run
from descend.config import make_config
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
from descend.data.token_store import TokenStore
from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Sample
from descend.training import trainer
from descend.training.text_samples import PROMPT_TOKENS, PROMPTS, validation_prompts


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


def test_samples_in_the_midst_of_an_epoch_change_no_weight(
    tiny: dict[str, object], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(tiny | {"save_dir": "plain", "attention": "matmul", "threads": 1})
    monkeypatch.setattr(trainer, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "SAMPLING_FRACTION", 1.0)
    sampled = run(tiny | {"save_dir": "sampled", "attention": "matmul", "threads": 1})
    events = read_events(sampled.folder)
    epoch_ends = {e.step for e in events if isinstance(e, Epoch)}
    between = [e for e in events if isinstance(e, Sample) and e.step not in epoch_ends]
    assert len(between) > 3
    assert len({e.text for e in between}) > 1
    first, second = (load_file(m.folder / "model.safetensors") for m in (plain, sampled))
    assert all(torch.equal(first[name], second[name]) for name in first)

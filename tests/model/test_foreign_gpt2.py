"""GPT-2 folders that `transformers` wrote, with their own tokenizer, can be used and continued."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import descend
from descend.model.huggingface import shape_from_config
from descend.runs.model_files import load_model
from descend.training.foreign_model import FINE_TUNING_RATE

TEXT = "".join(f"The fox number {n} sees {n * 7 % 90} hens.\n" for n in range(600))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([TEXT], trainer)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokenizer.get_vocab_size(), n_embd=32, n_layer=2, n_head=2, n_positions=64,
            bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    ).save_pretrained(folder)
    return folder


def logits_of(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = GPT2LMHeadModel.from_pretrained(folder).eval()(ids).logits
    return logits


def test_foreign_gpt2_has_no_n_inner(gpt2: Path) -> None:
    config = json.loads((gpt2 / "config.json").read_text())
    assert config.get("n_inner") is None
    assert shape_from_config(config).ff_dim == 128


@pytest.mark.parametrize("style", ["GPT2LMHeadModel", "GPT2Model with masks"])
def test_load_model_computes_the_logits_of_transformers(
    gpt2: Path, tmp_path: Path, style: str
) -> None:
    folder = gpt2
    if style != "GPT2LMHeadModel":  # as published folders of GPT-2 name their weights
        folder = tmp_path
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_bytes((gpt2 / name).read_bytes())
        state = load_file(gpt2 / "model.safetensors")
        published = {name.removeprefix("transformer."): w for name, w in state.items()}
        published |= {f"h.{n}.attn.bias": torch.ones(1, 1, 64, 64).tril() for n in range(2)}
        save_file(published, folder / "model.safetensors", metadata={"format": "pt"})
    ids = torch.randint(320, (2, 40), generator=torch.Generator().manual_seed(1))
    loaded = load_model(folder)
    with torch.no_grad():
        ours = loaded.model(ids)
    torch.testing.assert_close(ours, logits_of(gpt2, ids), atol=1e-4, rtol=0)


def test_continue_trains_a_foreign_model_that_loads_in_transformers(
    gpt2: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    before = load_model(gpt2).model.token_embedding.weight
    model = descend.run_on_model(
        gpt2,
        {"corpus_dir": str(text), "max_steps": 8, "save_dir": str(tmp_path / "run"),
         "batch_size": 4, "log_level": "error"},
    )  # fmt: skip
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["resolved_config"]["learning_rate"] == FINE_TUNING_RATE
    assert record["resolved_config"]["architecture"] == "gpt"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["n_inner"] == 128
    assert config["n_ctx"] == 64
    assert not torch.equal(model.network.token_embedding.weight, before)
    ids = torch.randint(320, (1, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = model.network(ids)
    torch.testing.assert_close(ours, logits_of(tmp_path / "run", ids), atol=1e-4, rtol=0)

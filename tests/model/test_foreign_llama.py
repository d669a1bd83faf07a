"""Llama, Mistral, Qwen2, and Qwen3 folders that `transformers` wrote give its logits and texts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import descend
from descend.errors import RunFolderError, TokenizerError
from descend.interop.export.export_model import export_model
from descend.metrics.attention import attention_weights
from descend.model.batch_decoder import BatchDecoder, DecodeRequest
from descend.model.cost import parameter_count
from descend.model.sampling import SamplingOptions
from descend.runs.events import Step
from descend.runs.model_files import load_model
from descend.runs.recorded_run import RecordedRun
from descend.training.continuation import continuation_config
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import create_run

from .llama_folders import (
    TEXT,
    VARIANTS,
    make_sentencepiece_tokenizer,
    write_folder,
)

MAX_DIFFERENCE = 1e-4
NO_FILTERS = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
IDS = torch.randint(320, (2, 40), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("folders")
    return {
        name: write_folder(base / name.replace(" ", "_"), variant)
        for name, variant in VARIANTS.items()
    }


def logits_of(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        logits: torch.Tensor = model.float().eval()(ids).logits
    return logits


def greedy_ids(folder: Path, prompt: str, tokens: int) -> list[int]:
    """The ids that `transformers` writes after `prompt`, encoded by its own tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).float().eval()
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    written = model.generate(
        **inputs, max_new_tokens=tokens, do_sample=False, repetition_penalty=1.0,
        no_repeat_ngram_size=0, pad_token_id=1,
    )  # fmt: skip
    ids: list[int] = written[0, inputs["input_ids"].shape[1] :].tolist()
    return ids


def test_greedy_ids_depend_on_the_start_token(folders: dict[str, Path]) -> None:
    assert AutoTokenizer.from_pretrained(folders["llama"])("fox").input_ids[0] == 0


@pytest.mark.parametrize("kernel", ["matmul", "fused"])
@pytest.mark.parametrize("name", VARIANTS)
def test_load_model_computes_the_logits_of_transformers(
    folders: dict[str, Path], name: str, kernel: Any
) -> None:
    model = load_model(folders[name]).model
    model.set_attention(kernel)
    with torch.no_grad():
        ours = model(IDS)
    theirs = logits_of(folders[name], IDS)
    assert theirs.std() > 0.1  # not flat
    torch.testing.assert_close(ours, theirs, atol=MAX_DIFFERENCE, rtol=0)
    assert parameter_count(model.shape) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["llama3 scaling", "mistral window", "qwen3 windows"])
@pytest.mark.parametrize("style", ["bytes", "sentencepiece"])
def test_generate_writes_the_tokens_of_transformers(tmp_path: Path, name: str, style: str) -> None:
    tokenizer = make_sentencepiece_tokenizer() if style == "sentencepiece" else None
    folder = write_folder(tmp_path, VARIANTS[name], tokenizer)
    prompt = "the fox number 12 sees"
    ours = descend.load(folder).complete([prompt], 24, greedy=True, **NO_FILTERS)[0]
    assert ours.token_ids == greedy_ids(folder, prompt, 24)
    assert len(set(ours.token_ids)) > 5


@pytest.mark.parametrize("name", ["mistral window", "qwen3"])
def test_batch_decoder_agrees_with_the_whole_pass(folders: dict[str, Path], name: str) -> None:
    loaded = load_model(folders[name])
    decoder = BatchDecoder(loaded.model, loaded.tokenizer.eos_token_id, 64, 3)
    options = SamplingOptions(greedy=True, repetition_penalty=1.0, no_repeat_ngram_size=0)
    prompts = {row: IDS[0, : 5 + 9 * row].tolist() for row in range(3)}
    for row, prompt in prompts.items():
        decoder.add(row, DecodeRequest(
            prompt_ids=prompt, sampling_options=options, max_new_tokens=12, seed="0"
        ))  # fmt: skip
    while decoder.num_texts:
        for token in decoder.step():
            prompts[token.key].append(token.id)  # type: ignore[index]
    for row, ids in prompts.items():
        begin = 5 + 9 * row
        with torch.no_grad():
            expected = loaded.model(torch.tensor([ids]))[0].argmax(-1)[begin - 1 : -1]
        assert ids[begin:] == expected.tolist()


def test_attention_weights_stay_within_the_window(folders: dict[str, Path]) -> None:
    model = load_model(folders["mistral window"]).model
    weights = attention_weights(model, np.arange(20))
    assert weights.shape == (3, 4, 20, 20)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert (weights[..., 19, :13] == 0).all()
    assert (weights[..., 19, 13:] > 0).all()


def test_load_model_names_ids_that_the_tokenizer_lacks(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, VARIANTS["qwen3"], unnamed_ids=12)
    loaded = load_model(folder)
    assert loaded.tokenizer.vocab_size == loaded.model.shape.vocab_size == 332
    assert loaded.tokenizer.end_token == "<|end_of_text|>"
    assert loaded.tokenizer.start_ids == (0,)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert loaded.tokenizer.encode(TEXT) == theirs(TEXT, add_special_tokens=False).input_ids


def test_sentencepiece_tokenizer_counts_bytes_and_keeps_spaces(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, VARIANTS["llama"], make_sentencepiece_tokenizer())
    tokenizer = load_model(folder).tokenizer
    ids = tokenizer.encode("the fox\n")
    assert tokenizer.decode(ids) == " the fox\n"  # the sign that the tokenizer puts before a text
    assert int(tokenizer.byte_lengths[ids].sum()) == len(" the fox\n")
    assert b"".join(map(tokenizer.token_bytes, ids)) == b" the fox\n"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "yarn": ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "rope_type 'yarn'"),
    "dynamic": ({"rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_parameters": None},
                "rope_type 'dynamic'"),
    "partial": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
    "gelu": ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
    "quantized": ({"quantization_config": {"bits": 4}}, "quantized weights"),
    "other kind": ({"model_type": "gemma3_text"}, "model_type 'gemma3_text'"),
    "heads": ({"num_key_value_heads": 3}, "num_key_value_heads 3"),
    "biases": ({"attention_bias": True}, "no weight model.layers.0.self_attn.q_proj.bias"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_load_model_refuses_what_it_would_compute_wrongly(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    changes, expected = REFUSED[name]
    for file in folders["llama"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(RunFolderError, match="expected") as problem:
        load_model(tmp_path)
    assert expected in str(problem.value)


def test_load_model_refuses_unknown_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    for file in folders["llama"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    state["model.layers.0.self_attn.q_norm.weight"] = torch.ones(8)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunFolderError, match="q_norm"):
        load_model(tmp_path)


def test_load_model_refuses_a_tokenizer_that_does_not_fit(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for file in folders["llama"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_folder(tmp_path / "other", VARIANTS["llama"], make_sentencepiece_tokenizer())
    (tmp_path / "tokenizer.json").write_bytes((tmp_path / "other/tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").unlink()
    model = load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"]
    assert len(model) == 320  # of the folder, whose tokenizer now has 290 tokens
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 200}))
    with pytest.raises((TokenizerError, RunFolderError), match="expected"):
        load_model(tmp_path)


def test_train_refuses_a_new_llama(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    with pytest.raises(descend.errors.ConfigError, match="descend continue"):
        descend.run(
            {"corpus_dir": str(text), "architecture": "llama", "save_dir": str(tmp_path / "run"),
             "log_level": "error"}
        )  # fmt: skip


def continued(folder: Path, tmp_path: Path, **keys: Any) -> descend.Model:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    return descend.run_on_model(
        folder,
        {"corpus_dir": str(text), "max_steps": 6, "save_dir": str(tmp_path / "run"),
         "batch_size": 4, "log_level": "error"} | keys,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["llama3 scaling", "mistral window", "qwen2", "qwen3 windows"])
def test_continue_trains_a_model_that_loads_in_transformers(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    before = load_model(folders[name]).model
    model = continued(folders[name], tmp_path)
    assert not torch.equal(model.network.blocks[0].ff.gate.weight, before.blocks[0].ff.gate.weight)
    with torch.no_grad():
        ours = model.network(IDS)
    run = tmp_path / "run"
    torch.testing.assert_close(ours, logits_of(run, IDS), atol=MAX_DIFFERENCE, rtol=0)
    assert RecordedRun(run).shape == before.shape
    again = load_model(run)
    assert again.tokenizer.end_token == "<|end_of_text|>"
    assert again.model.shape == before.shape
    config = json.loads((run / "config.json").read_text())
    assert config["model_type"] == before.shape.details.model_type
    prompt = "The fox number"
    written = model.complete([prompt], 16, greedy=True, **NO_FILTERS)[0]
    assert written.token_ids == greedy_ids(run, prompt, 16)


def test_evaluate_gives_the_loss_of_transformers(folders: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT[:900])
    model = descend.load(folders["qwen3"])
    ids = [model.tokenizer.eos_token_id, *model.tokenizer.encode(TEXT[:900])]
    ids.append(model.tokenizer.eos_token_id)
    losses = []
    for begin in range(0, len(ids) - 1, 64):
        window = torch.tensor([ids[begin : begin + 65]])
        logits = logits_of(folders["qwen3"], window[:, :-1])[0]
        losses += torch.nn.functional.cross_entropy(
            logits, window[0, 1:], reduction="none"
        ).tolist()
    assert model.evaluate(text).loss == pytest.approx(np.mean(losses), abs=1e-3)


def test_resume_rebuilds_the_network_of_another_program(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    whole = continued(folders["mistral window"], tmp_path, max_steps=8)
    parent = folders["mistral window"]
    text, half = str(tmp_path / "text.txt"), tmp_path / "half"
    config = continuation_config(
        parent, {"corpus_dir": text, "max_steps": 8, "batch_size": 4, "log_level": "error"}
    )

    def train_until_interrupted() -> None:
        for event in run_training(create_run(config, half, parent=parent)):
            if isinstance(event, Step) and event.step == 4:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train_until_interrupted()
    assert RecordedRun(half).shape == whole.network.shape
    resumed = descend.resume(half)
    assert torch.equal(resumed.network.head.weight, whole.network.head.weight)


def test_export_writes_safetensors(folders: dict[str, Path], tmp_path: Path) -> None:
    export_model(folders["qwen3"], "safetensors", None, tmp_path / "out")
    torch.testing.assert_close(
        logits_of(tmp_path / "out", IDS), logits_of(folders["qwen3"], IDS), atol=1e-5, rtol=0
    )


def test_generate_command_reads_a_llama_folder(folders: dict[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "descend", "generate", str(folders["llama"]), "The fox", "--greedy",
         "--max-new-tokens", "8", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["new_token_ids"]) == 8

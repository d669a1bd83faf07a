"""The model folder: `transformers` loads it as it is, and damage is one clear sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import descend
from descend.data.tokenizer import END_OF_TEXT, Tokenizer, TokenizerKind, train_tokenizer
from descend.errors import RunFolderError, TokenizerError
from descend.model.generation import collect_completions, generate_text
from descend.model.sampling import SamplingOptions
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Transformer
from descend.runs.atomic_write import MANIFEST_FILE, verify_folder
from descend.runs.events import Epoch, Sample
from descend.runs.model_card import model_card
from descend.runs.model_files import load_model, render_model_files, save_model
from descend.runs.run_files import RunMetadata, RunSummary

ARCHITECTURES: list[Architecture] = ["gpt", "modern"]
TEXT = "The cat sat on the mat, didn't it?  é ü 漢字 🙂\n\tand the dog sat on the log. " * 9
PROMPTS = ["the cat", " dog  é🙂\n", "On the log, 漢"]
NEW = 24


def tokenizer_of(kind: TokenizerKind = "bpe") -> Tokenizer:
    return train_tokenizer(kind, 290, lambda: iter([TEXT]))


def noisy(
    architecture: Architecture, tokenizer: Tokenizer, sizes: tuple[int, ...] = (32, 2, 2, 64, 64)
) -> Transformer:
    """A model with no weight at the value it starts from, zeros and ones among these."""
    model = Transformer(ModelShape(architecture, tokenizer.vocab_size, *sizes)).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator) + 0.05)
    return model


@pytest.mark.parametrize("sizes", [(32, 2, 2, 64, 64), (16, 1, 1, 24, 48), (48, 6, 3, 100, 72)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transformers_gives_the_same_logits_and_greedy_text(
    tmp_path: Path, architecture: Architecture, sizes: tuple[int, ...]
) -> None:
    tokenizer = tokenizer_of()
    model = noisy(architecture, tokenizer, sizes)
    save_model(tmp_path, model, tokenizer)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    settings = SamplingOptions(greedy=True)  # penalty and n-grams as in generation_config.json
    pieces = generate_text(model, tokenizer, PROMPTS, settings, max_new_tokens=NEW)
    for prompt, ours in zip(PROMPTS, collect_completions(pieces, len(PROMPTS)), strict=True):
        ids = their_tokenizer(prompt, return_tensors="pt")
        assert set(ids) == {"input_ids", "attention_mask"}
        assert ids["input_ids"][0].tolist() == tokenizer.encode(prompt)
        with torch.no_grad():
            expected = theirs(**ids).logits
            got = model(ids["input_ids"])
        assert got.std() > 0.1
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
        written = theirs.generate(
            **ids, max_new_tokens=NEW, do_sample=False, temperature=None, top_k=None, top_p=None
        )
        new = written[0, ids["input_ids"].shape[1] :]
        assert ours.token_ids == new.tolist()
        text = their_tokenizer.decode(new, skip_special_tokens=True)
        assert text.startswith(ours.text)
        assert text[len(ours.text) :] in ("", *("\ufffd" * n for n in (1, 2, 3)))  # half characters


@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
def test_autotokenizer_reads_and_writes_as_we_do(tmp_path: Path, kind: TokenizerKind) -> None:
    tokenizer = tokenizer_of(kind)
    save_model(tmp_path, noisy("gpt", tokenizer), tokenizer)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*PROMPTS, TEXT[:80], "", f"a{END_OF_TEXT}b", "  two  spaces ,", "ß\r\n"]:
        ids = tokenizer.encode(text)
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids) == text
    assert theirs.eos_token_id == theirs.pad_token_id == tokenizer.eos_token_id
    assert theirs.model_max_length == 64


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_padded_by_transformers_is_the_same(
    tmp_path: Path, architecture: Architecture
) -> None:
    tokenizer = tokenizer_of()
    model = noisy(architecture, tokenizer)
    save_model(tmp_path, model, tokenizer)
    batch = AutoTokenizer.from_pretrained(tmp_path)(PROMPTS, padding=True, return_tensors="pt")
    settings = SamplingOptions(greedy=True, repetition_penalty=1.0, no_repeat_ngram_size=0)
    pieces = generate_text(model, tokenizer, PROMPTS, settings, max_new_tokens=NEW)
    written = AutoModelForCausalLM.from_pretrained(tmp_path).generate(
        **batch, max_new_tokens=NEW, do_sample=False, repetition_penalty=1.0,
        no_repeat_ngram_size=0, temperature=None, top_k=None, top_p=None,
    )  # fmt: skip
    new = written[:, batch["input_ids"].shape[1] :].tolist()
    assert [c.token_ids for c in collect_completions(pieces, len(PROMPTS))] == new


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_load_model_reads_transformers_folder(tmp_path: Path, architecture: Architecture) -> None:
    tokenizer = tokenizer_of()
    model = noisy(architecture, tokenizer)
    save_model(tmp_path / "ours", model, tokenizer)
    AutoModelForCausalLM.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    AutoTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    again = load_model(tmp_path / "theirs")
    ids = torch.tensor([tokenizer.encode(PROMPTS[0])])
    assert torch.equal(again.model(ids), model(ids))
    assert again.tokenizer.encode(TEXT) == tokenizer.encode(TEXT)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_model_loads_bitwise_identical(tmp_path: Path, architecture: Architecture) -> None:
    tokenizer = tokenizer_of()
    model = noisy(architecture, tokenizer)
    save_model(tmp_path / "deep" / "folder", model, tokenizer)
    loaded = load_model(tmp_path / "deep" / "folder")
    assert loaded.model.shape == model.shape
    assert not loaded.model.training
    ours, again = model.state_dict(), loaded.model.state_dict()
    assert ours.keys() == again.keys()
    assert all(torch.equal(ours[name], again[name]) for name in ours)
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint


@pytest.fixture(scope="module")
def saved() -> dict[str, bytes]:
    tokenizer = tokenizer_of()
    return render_model_files(noisy("modern", tokenizer), tokenizer)


def test_saving_again_leaves_other_files_alone(tmp_path: Path, own_folder: Path) -> None:
    tokenizer = tokenizer_of()
    for name in ("run.json", "events.jsonl", "checkpoints/step_1/state.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    save_model(tmp_path, noisy("gpt", tokenizer), tokenizer)
    first = (tmp_path / "model.safetensors").read_bytes()
    save_model(tmp_path, noisy("modern", tokenizer), tokenizer)
    assert (tmp_path / "model.safetensors").read_bytes() != first
    assert verify_folder(tmp_path)
    assert load_model(tmp_path).model.shape.architecture == "modern"
    names = {path.name for path in tmp_path.iterdir() if path != own_folder}
    assert names == {
        *render_model_files(noisy("gpt", tokenizer), tokenizer),
        MANIFEST_FILE, "run.json", "events.jsonl", "checkpoints",
    }  # fmt: skip
    assert (tmp_path / "checkpoints/step_1/state.json").read_text() == "mine"


def test_crash_between_file_writes_leaves_loadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from descend.runs import model_files as module

    tokenizer = tokenizer_of()
    save_model(tmp_path, noisy("gpt", tokenizer), tokenizer)
    better = noisy("gpt", tokenizer)
    with torch.no_grad():
        better.final_norm.bias += 1.0
    real = module.write_file_atomic

    def dies_before_the_manifest(path: Path, content: bytes) -> None:
        if path.name == MANIFEST_FILE:
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(module, "write_file_atomic", dies_before_the_manifest)
    with pytest.raises(KeyboardInterrupt):
        save_model(tmp_path, better, tokenizer)
    assert torch.equal(load_model(tmp_path).model.final_norm.bias, better.final_norm.bias)


Damage = Callable[[Path], object]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _without_manifest(change: Damage) -> Damage:
    def both(folder: Path) -> None:
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
        change(folder)

    return both


DAMAGES: dict[str, tuple[str, Damage]] = {
    "a flipped bit in the weights": (
        "model.safetensors", lambda f: _flip(f / "model.safetensors"),
    ),
    "a flipped bit in the tokenizer": ("tokenizer.json", lambda f: _flip(f / "tokenizer.json")),
    "an edited shape": ("config.json", lambda f: (f / "config.json").write_text("{}")),
    "a manifest that is none": (MANIFEST_FILE, lambda f: (f / MANIFEST_FILE).write_text("[]")),
    "cut weights, no manifest": (
        "model.safetensors",
        _without_manifest(lambda f: (f / "model.safetensors").write_bytes(b"cut")),
    ),
    "no JSON, no manifest": (
        "config.json", _without_manifest(lambda f: (f / "config.json").write_text("{")),
    ),
    "no object, no manifest": (
        "config.json", _without_manifest(lambda f: (f / "config.json").write_text("[1]")),
    ),
    "another model, no manifest": (
        "config.json",
        _without_manifest(lambda f: (f / "config.json").write_text('{"model_type": "bert"}')),
    ),
    "no weights": ("model.safetensors", lambda f: (f / "model.safetensors").unlink()),
    "no tokenizer": ("tokenizer.json", lambda f: (f / "tokenizer.json").unlink()),
    "no shape": ("config.json", lambda f: (f / "config.json").unlink()),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_load_model_names_the_damaged_file(
    tmp_path: Path, saved: dict[str, bytes], damage: str
) -> None:
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    save_model(tmp_path, load_model(tmp_path).model, tokenizer_of())
    name, change = DAMAGES[damage]
    change(tmp_path)
    with pytest.raises(RunFolderError) as caught:
        load_model(tmp_path)
    assert name in str(caught.value)
    assert str(tmp_path) in caught.value.location
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, saved: dict[str, bytes]) -> None:
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    assert load_model(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_of("byte").to_bytes())
    with pytest.raises(TokenizerError, match="257 tokens"):
        load_model(tmp_path)
    with pytest.raises(TokenizerError):
        save_model(tmp_path, noisy("gpt", tokenizer_of()), tokenizer_of("char"))


def _info(corpus: str) -> RunMetadata:
    return RunMetadata(
        version="0.0.1", saved_at="2026-01-01T00:00:00+00:00", preset="fast",
        requested_config={"corpus_dir": corpus, "vocab_path": "secret-vocabulary.json"},
        resolved_config={"corpus_dir": corpus, "epoch": 3, "batch_size": 16, "learning_rate": 0.001,
                  "save_dir": "models/secret-diary", "optimizer": "muon"},
        execution={"precision": "float32"},
        corpus={"corpus": corpus, "train_tokens": 12345},
        hardware={}, parent="models/secret-diary-0",
    )  # fmt: skip


def _summary() -> RunSummary:
    return RunSummary(
        model_dir="models/secret-diary", parameters=1, seconds=1.0, tokens_per_second=1.0,
        epochs=[], best_epoch=2, validation_loss=4.5678, validation_accuracy=0.25,
        bits_per_byte=2.1, ngram_baselines={"uniform": 8.3}, finished=True,
        samples=[Sample(1, "secret", "secret")],
    )  # fmt: skip


def test_model_card_omits_private_text() -> None:
    shape = noisy("gpt", tokenizer_of()).shape
    card = model_card(shape, 123456, _info("secret-diary"), _summary())
    header = card.split("---")[1]
    for line in ("library_name: transformers", "pipeline_tag: text-generation", "- descend"):
        assert line in header
    for fact in ("123,456", "12,345", "4.5678", "muon", "64"):
        assert fact in card
    assert "secret" not in card
    assert "`stories`" in model_card(shape, 1, _info("stories"), None)


def test_model_card_counts_a_part_of_an_epoch_as_a_part() -> None:
    shape = noisy("gpt", tokenizer_of()).shape
    epoch = Epoch(
        epoch=1, step=60, loss_start=6.0, loss_end=5.0, accuracy_start=0.1, accuracy_end=0.2,
        validation_loss=5.0, validation_accuracy=0.2, bits_per_byte=2.0, tokens_per_second=1000.0,
        seconds=60.0,
    )  # fmt: skip
    part = msgspec.structs.replace(_summary(), epochs=[epoch], num_epochs=0.136)
    card = model_card(shape, 1, _info("stories"), part)
    assert "| epochs | 0.14 |" in card
    assert "best epoch" not in card


def test_the_example_of_the_card_runs(
    saved: dict[str, bytes], own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in saved.items():
        (own_folder / name).write_bytes(content)
    example = saved["README.md"].decode().split("```")[1].removeprefix("python\n")
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Once upon a time")


def test_the_configuration_is_plain_json(saved: dict[str, bytes]) -> None:
    for name, content in saved.items():
        if name.endswith(".json"):
            json.loads(content)
    # No pickle: what is not JSON or Markdown is safetensors, whose header is JSON after its length.
    weights = saved["model.safetensors"]
    json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])


def test_the_room_needs_no_torch_to_be_imported() -> None:
    source = Path(descend.__file__).parents[1]
    probe = "import {}, sys; sys.exit('torch' in sys.modules)"
    for module, loads_torch in [("descend.runs.model_files", 0), ("descend.model.generation", 1)]:
        done = subprocess.run([sys.executable, "-c", probe.format(module)], cwd=source, check=False)
        assert done.returncode == loads_torch

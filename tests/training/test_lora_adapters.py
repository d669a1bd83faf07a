"""LoRA adapters train beside a frozen model, resume exactly, and end in a model like any other."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import descend
from descend.config import RunConfig, make_config
from descend.diagnosis.measure import run_validation_loss
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.treatments import control_config, make_treatment_spec
from descend.errors import ConfigError, RunFolderError
from descend.interop.export.export_model import export_model
from descend.model.cost import adapter_parameter_count, training_memory
from descend.model.initialization import initialize
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.events import Step
from descend.runs.model_files import load_model
from descend.runs.recorded_run import RecordedRun
from descend.training import assembly, memory
from descend.training.checkpoint_model import load_checkpoint_state, save_checkpoint_model
from descend.training.continuation import continuation_config
from descend.training.lora_adapters import (
    DEFAULT_RANK,
    add_adapters,
    merge_adapters,
    reset_adapters,
)
from descend.training.memory import choose_lora_rank
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import create_run
from descend.trials.trial import train_trial

from ..model.llama_folders import TEXT, VARIANTS, write_folder

pytest.importorskip("peft", reason="peft is not installed")

IDS = torch.randint(320, (2, 40), generator=torch.Generator().manual_seed(1))
GPT = ModelShape("gpt", 320, 32, 4, 2, 48, 64)
KEYS: dict[str, Any] = {"max_steps": 8, "batch_size": 4, "lora_rank": 4, "log_level": "error"}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text(TEXT)
    return KEYS | {"corpus_dir": str(tmp_path / "text.txt")}


def logits_of_transformers(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        logits: torch.Tensor = model.float().eval()(IDS).logits
    return logits


@pytest.mark.parametrize("name", ["llama biases", "qwen2", "qwen3 windows"])
def test_continue_with_adapters_saves_a_model_that_loads_everywhere(
    tmp_path: Path, keys: dict[str, Any], name: str
) -> None:
    folder, run = write_folder(tmp_path / "parent", VARIANTS[name]), tmp_path / "run"
    before = load_model(folder).model
    model = descend.run_on_model(folder, keys | {"save_dir": str(run)})
    after = dict(model.network.named_parameters())
    for weight_name, weight in before.named_parameters():
        is_adapted = weight_name.startswith("blocks") and weight.ndim == 2
        assert torch.equal(weight, after[weight_name]) == (not is_adapted), weight_name
    with torch.no_grad():
        ours = model.network(IDS)
    torch.testing.assert_close(ours, logits_of_transformers(run), atol=1e-4, rtol=0)
    export_model(run, "safetensors", None, tmp_path / "out")
    torch.testing.assert_close(ours, logits_of_transformers(tmp_path / "out"), atol=1e-4, rtol=0)
    first = descend.load(folder).evaluate(tmp_path / "text.txt").loss
    assert descend.load(run).evaluate(tmp_path / "text.txt").loss < first
    assert model.complete(["The fox"], 8)[0].text
    assert load_model(run).model.shape == before.shape


def interrupt(folder: Path, keys: dict[str, Any], target: Path, step: int = 4) -> None:
    """Train the model in `folder` further into `target`, and interrupt that after `step`."""

    def train() -> None:
        for event in run_training(
            create_run(continuation_config(folder, keys), target, parent=folder)
        ):
            if isinstance(event, Step) and event.step == step:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train()


def test_resume_with_adapters_is_bitwise_identical(tmp_path: Path, keys: dict[str, Any]) -> None:
    folder, half = write_folder(tmp_path / "parent", VARIANTS["qwen2"]), tmp_path / "half"
    whole = descend.run_on_model(folder, keys | {"save_dir": str(tmp_path / "whole")})
    interrupt(folder, keys, half)
    checkpoint = latest_checkpoint(half)
    assert checkpoint is not None
    assert all(".lora_" in name for name in load_file(checkpoint / "model.safetensors"))
    resumed = descend.resume(half)
    pairs = zip(resumed.network.parameters(), whole.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_trial_of_a_run_with_adapters_ends_where_the_run_did(
    tmp_path: Path, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_room_for_adapters(config: RunConfig, *_: Any, **__: Any) -> RunConfig:
        return config.model_copy(update={"lora_rank": 4})

    monkeypatch.setattr(assembly, "choose_lora_rank", has_room_for_adapters)
    folder, run = write_folder(tmp_path / "parent", VARIANTS["qwen2"]), tmp_path / "run"
    descend.run_on_model(folder, keys | {"save_dir": str(run), "lora_rank": None})
    monkeypatch.undo()
    context = load_run_context(run)
    assert context.metadata.requested_config["lora_rank"] is None
    control, seed = control_config(context), context.config.seed
    spec = make_treatment_spec(context, control, None, context.total_steps, seed)
    all_weights = msgspec.structs.replace(spec, config=spec.config | {"lora_rank": 0})
    own = run_validation_loss(context, spec.evaluation_tokens)
    assert train_trial(spec).validation_loss == pytest.approx(own, abs=1e-5)
    assert train_trial(all_weights).validation_loss != pytest.approx(own, abs=1e-3)


@pytest.mark.parametrize("is_finished", [True, False])
def test_diagnose_measures_a_run_with_adapters(
    tmp_path: Path, keys: dict[str, Any], is_finished: bool
) -> None:
    folder, run = write_folder(tmp_path / "parent", VARIANTS["qwen2"]), tmp_path / "run"
    if is_finished:
        descend.run_on_model(folder, keys | {"save_dir": str(run)})
    else:
        interrupt(folder, keys, run)
    step_metric = "critical_step_multiplier_fresh"
    before = {m.metric: m.value for m in descend.diagnose(run, proof=False).measurements}
    assert step_metric in before
    shutil.rmtree(folder)
    diagnosis = descend.diagnose(run)
    after = {m.metric: m.value for m in diagnosis.measurements}
    assert step_metric not in after
    assert ("measured_validation_loss" in after) == is_finished
    assert any(str(folder) in warning for warning in diagnosis.warnings)


def test_checkpoint_with_adapters_becomes_a_model_that_computes_the_same(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    folder, run = write_folder(tmp_path / "parent", VARIANTS["qwen2"]), tmp_path / "run"
    interrupt(folder, keys, run)
    recorded_run = RecordedRun(run)
    assert recorded_run.checkpoint is not None
    state = load_checkpoint_state(recorded_run, recorded_run.checkpoint, recorded_run.execution)
    assert save_checkpoint_model(run, tmp_path / "model") is not None
    with torch.no_grad():
        ours = state.model.eval()(IDS)
    torch.testing.assert_close(ours, logits_of_transformers(tmp_path / "model"), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_processes_train_adapters_as_one_process_does(tmp_path: Path, keys: dict[str, Any]) -> None:
    folder = write_folder(tmp_path / "parent", VARIANTS["qwen2"])
    runs = [tmp_path / "one", tmp_path / "two"]
    for count, run in enumerate(runs, 1):
        descend.run_on_model(folder, keys | {"save_dir": str(run), "num_processes": count})
    one, two = ([s.loss for s in RecordedRun(run).steps] for run in runs)
    assert two == pytest.approx(one, abs=1e-4)
    one_loss, two_loss = (RecordedRun(run).summary.validation_loss for run in runs)
    assert two_loss == pytest.approx(one_loss, abs=1e-4)


def test_resume_refuses_another_model_beside_the_adapters(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    folder, half = write_folder(tmp_path / "parent", VARIANTS["qwen2"]), tmp_path / "half"
    interrupt(folder, keys, half, step=1)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RunFolderError, match="another model"):
        descend.resume(half)
    weights.unlink()
    with pytest.raises(RunFolderError, match="expected"):
        descend.resume(half)


@pytest.mark.parametrize("kernel", ["matmul", "fused"])
def test_merged_adapters_compute_the_same(kernel: Any) -> None:
    parent = Transformer(GPT)
    initialize(parent, 1)
    model = add_adapters(parent, 0.0, 4).eval()
    model.set_attention(kernel)
    reset_adapters(model, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(IDS), parent.eval()(IDS))  # they begin without effect
    model(IDS).square().mean().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == (
        adapter_parameter_count(GPT, 4)
    )
    assert all(g is not None and g.any() for n, g in gradients.items() if "lora_B" in n)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.requires_grad):
            weight.normal_()
        separate = model(IDS)
        merge_adapters(model)
        torch.testing.assert_close(model(IDS), separate, atol=1e-3, rtol=1e-3)
    assert model.state_dict().keys() == Transformer(GPT).state_dict().keys()


def test_adapters_are_chosen_when_all_weights_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ModelShape("gpt", 50257, 768, 12, 12, 3072, 1024)
    config = make_config({"optimizer": "adamw", "seq_len": 128, "batch_size": 4})
    one = config.model_copy(update={"gradient_accumulation_steps": 4})
    needed = training_memory(one, shape)
    adapted = training_memory(one.model_copy(update={"lora_rank": DEFAULT_RANK}), shape)
    assert adapted < needed / 3
    for room, expected in ((needed, 0), (needed - 1, DEFAULT_RANK), (None, 0)):
        monkeypatch.setattr(memory, "free_memory_bytes", lambda device, room=room: room)
        assert choose_lora_rank(config, shape, "cpu", has_parent=True).lora_rank == expected
        assert choose_lora_rank(config, shape, "cpu", has_parent=False).lora_rank is None
        chosen = config.model_copy(update={"lora_rank": 0})
        assert choose_lora_rank(chosen, shape, "cpu", has_parent=True).lora_rank == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"lora_rank": 4, "optimizer": "muon"}, "adamw"),
        ({"lora_rank": 4, "optimizer": "adamw", "compile": "on"}, "not compiled"),
    ],
)
def test_adapters_refuse_what_does_not_fit_them(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        make_config(values)


def test_new_model_refuses_adapters(tiny: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="descend continue"):
        descend.run(tiny | {"lora_rank": 4, "optimizer": "adamw"})

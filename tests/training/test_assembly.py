"""From a configuration to all that its training needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.model.initialization import initialize
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.training.assembly import assemble_run, tokenize_corpus
from descend.training.execution.candidate_timing import time_training_step
from descend.training.training_run import create_run

Tiny = dict[str, Any]


def test_create_run_builds_the_network_once(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    build = Transformer.__init__

    def counted(self: Transformer, shape: Any, *rest: Any, **more: Any) -> None:
        shapes.append(shape)
        build(self, shape, *rest, **more)

    monkeypatch.setattr(Transformer, "__init__", counted)
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(Path("cache").resolve()))  # nothing is remembered
    run = create_run(make_config(tiny | {"compile": "off"}), Path("run"))
    assert run.tuning is not None
    # On a busy machine the time for it can end after the first way to compute.
    assert len(run.tuning.seconds_per_token) > 1 or run.tuning.truncated_tuning_seconds
    assert shapes.count(run.shape) == 1


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_reset_model_restores_first_weights_after_timing(tiny: Tiny, architecture: str) -> None:
    assembly = assemble_run(make_config(tiny | {"architecture": architecture, "threads": 1}))
    expected = Transformer(assembly.shape)
    initialize(expected, assembly.config.seed)
    time_training_step(assembly.execution, assembly, float("inf"))
    with torch.no_grad():  # an overflow in float16 leaves weights that are no numbers
        next(assembly.model.parameters()).fill_(float("nan"))
    model = assembly.reset_model(assembly.execution)
    assert model is assembly.model
    assert model.training
    for (name, one), other in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other), name
        assert one.grad is None


@pytest.mark.parametrize("kernel", ["matmul", "fused"])
def test_reset_model_sets_the_attention_kernel(tiny: Tiny, kernel: str) -> None:
    assembly = assemble_run(make_config(tiny | {"attention": kernel, "compile": "off"}))
    model = assembly.reset_model(assembly.execution)
    assert {block.attention.kernel for block in model.blocks} == {kernel}


def test_assembly_holds_the_weights_of_its_parent(tiny: Tiny, trained: Path) -> None:
    assembly = assemble_run(make_config(tiny), trained)
    parent = load_model(trained)
    model = assembly.reset_model(assembly.execution)
    pairs = zip(model.parameters(), parent.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert assembly.store.tokenizer.fingerprint == parent.tokenizer.fingerprint


def test_assembly_fills_in_every_open_key(tiny: Tiny) -> None:
    open_keys = {"epoch": None, "vocab_size": None, "warmup_steps": None, "token_dropout": None}
    assembly = assemble_run(make_config(tiny | open_keys))
    values = assembly.config.model_dump()
    assert None not in [values[key] for key in open_keys]
    assert assembly.requested.epoch is None
    assert assembly.config.vocab_size == assembly.store.tokenizer.vocab_size
    assert assembly.shape.vocab_size == assembly.store.tokenizer.vocab_size


def test_tokenize_corpus_reports_stages_and_fractions(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(Path("cache").resolve()))
    calls: list[tuple[str, float]] = []
    tokenize_corpus(
        make_config(tiny), progress=lambda stage, fraction: calls.append((stage, fraction))
    )
    stages = list(dict.fromkeys(stage for stage, _ in calls))
    assert stages == [
        "reading text", "training the tokenizer", "tokenizing", "computing corpus statistics",
    ]  # fmt: skip
    assert all(0 <= fraction <= 1 for _, fraction in calls)

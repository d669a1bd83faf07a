"""A step of training is that of a plain loop: loss, gradients, rate, and no gradient left over."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import descend
from descend.config import make_config
from descend.metrics.weight_updates import WeightUpdateRecorder
from descend.runs.events import Step
from descend.runs.model_files import load_model
from descend.training.loop import get_batch, train_step
from descend.training.optimizers import make_optimizers
from descend.training.training_run import create_run

TINY = {"embed_dim": 8, "num_heads": 1, "num_layers": 1, "ff_dim": 8, "max_seq_len": 16,
        "device": "cpu", "max_steps": 2, "validation_fraction": 0.3}  # fmt: skip

ANIMALS = ("cat", "dog", "owl", "fox", "hen", "cow", "pig", "rat", "bee", "elk")
SENTENCES = "".join(f"The {animal} sleeps.\n" for animal in ANIMALS)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize(("changes", "tolerance"), [
    ({}, 1e-3), ({"optimizer": "adamw", "gradient_clip": 0.3}, 1e-3),
    ({"batch_size": 7, "gradient_accumulation_steps": 3, "label_smoothing": 0.2}, 1e-3),
    ({"precision": "float16", "optimizer": "adamw"}, 0.05),
])  # fmt: skip
def test_train_step_is_that_of_a_plain_loop(
    tiny: dict[str, Any], architecture: str, changes: dict[str, Any], tolerance: float
) -> None:
    # Hidden tokens would be drawn in another order by parts of a batch.
    keys = {"architecture": architecture, "token_dropout": 0.0, "bpe_dropout": 0.0,
            "dropout_rate": 0.0, "warmup_steps": 2, "attention": "matmul",
            "compile": "off"}  # fmt: skip
    run = create_run(make_config(tiny | keys | changes), Path("run"))
    state, plan = run.state, run.plan
    model = copy.deepcopy(state.model)
    optimizers = make_optimizers(model, plan.config)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    for number in range(4):
        (record, *_) = train_step(state, plan, WeightUpdateRecorder())
        assert isinstance(record, Step)
        batch = torch.from_numpy(get_batch(state, plan, number))
        loss = F.cross_entropy(
            model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten(),
            label_smoothing=plan.config.label_smoothing,
        )  # fmt: skip
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.config.gradient_clip)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate(number) * group["scale"]
            optimizer.step()
            optimizer.zero_grad()
        assert record.loss == pytest.approx(loss.item(), rel=tolerance)
        assert record.gradient_norm == pytest.approx(norm.item(), rel=tolerance)
        assert record.learning_rate == plan.learning_rate(number) > 0
        assert all(weight.grad is None for weight in state.model.parameters())
    plain = dict(model.named_parameters())
    for name, weight in state.model.named_parameters():
        if not name.endswith("key.bias"):  # it adds the same to all scores, which changes nothing
            change = (weight - before[name]).norm()
            assert change > 0, name
            assert (weight - plain[name]).norm() <= 10 * tolerance * change, name


@pytest.mark.parametrize(("text", "changes"), [
    (SENTENCES, {"max_seq_len": 128}),
    (SENTENCES, {"batch_size": 1, "seq_len": 2, "tokenizer": "char"}),
    (SENTENCES, {"batch_size": 64, "seq_len": 8, "architecture": "gpt", "tokenizer": "byte"}),
    ("a" * 400, {"tokenizer": "char", "seq_len": 4}),
    ("ab" * 300, {"tokenizer": "char", "seq_len": 2, "max_seq_len": 2, "architecture": "gpt",
                  "embed_dim": 9, "num_heads": 3}),
    ("The same again.\n" * 60, {"learning_rate": {1: 1e-9, 7: 1e-3}, "schedule": "piecewise",
                                "seq_len": 4, "warmup_steps": 50}),
    (SENTENCES, {"max_steps": 30, "seq_len": 4, "learning_rate": 10.0, "schedule": "cosine",
                 "weight_decay": 10.0, "gradient_clip": 1e-9, "label_smoothing": 0.99}),
])  # fmt: skip
def test_unusual_text_and_settings_train_and_go_on_from_their_model(
    text: str, changes: dict[str, Any], own_folder: Path
) -> None:
    file = own_folder / "text.txt"
    file.write_text(text)
    keys = {**TINY, "corpus_dir": str(file), **changes}
    trained = descend.run({**keys, "save_dir": "one"})
    run = create_run(make_config(keys), own_folder / "two", parent=trained.folder)
    saved = load_model(trained.folder).model.state_dict()
    assert all(torch.equal(saved[n], weight) for n, weight in run.state.model.named_parameters())
    train_step(run.state, run.plan, WeightUpdateRecorder())

"""A model learns from the predictions of finished models as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from descend import run
from descend.config import make_config
from descend.errors import ConfigError
from descend.model.transformer import Transformer
from descend.runs.events import Epoch
from descend.runs.model_files import load_model
from descend.training.distillation import (
    TEACHER_WEIGHT,
    load_teachers,
    make_distillation_loss,
    predict_mean,
)


@pytest.fixture
def networks(trained: Path) -> tuple[Transformer, Transformer]:
    """Two copies of a trained network, the second one disturbed."""
    first, second = (load_model(trained).model for _ in range(2))
    with torch.no_grad():
        for weight in second.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return first, second


def test_loss_value_is_that_of_the_text_and_the_gradient_follows_both(
    networks: tuple[Transformer, Transformer],
) -> None:
    teacher, student = networks
    torch.manual_seed(1)
    ids = torch.randint(0, student.shape.vocab_size, (2, 9))
    inputs, targets = ids[:, :-1], ids[:, 1:]
    loss, hits = make_distillation_loss((teacher,))(student, inputs, targets, 0.0)
    loss.backward()
    gradient = [w.grad.clone() for w in student.parameters() if w.grad is not None]
    student.zero_grad(set_to_none=True)
    logits = student(inputs).flatten(0, 1)
    text = F.cross_entropy(logits, targets.flatten())
    with torch.no_grad():
        expected = teacher(inputs).flatten(0, 1).softmax(-1)
    teaching = -(expected * logits.log_softmax(-1)).sum(-1).mean()
    ((1 - TEACHER_WEIGHT) * text + TEACHER_WEIGHT * teaching).backward()
    assert loss.item() == pytest.approx(text.item(), rel=1e-5)
    assert int(hits) == int((logits.argmax(-1) == targets.flatten()).sum())
    for mine, weight in zip(gradient, student.parameters(), strict=True):
        assert weight.grad is not None
        assert torch.allclose(mine, weight.grad, atol=1e-6)


def test_mean_prediction_is_that_of_all_teachers(
    networks: tuple[Transformer, Transformer],
) -> None:
    ids = torch.arange(8).reshape(1, 8)
    mean = predict_mean(networks, ids)
    assert torch.allclose(mean.sum(-1), torch.ones(1, 8))
    each = [predict_mean((network,), ids) for network in networks]
    assert torch.allclose(mean, (each[0] + each[1]) / 2)
    assert not torch.allclose(each[0], each[1])


def test_run_with_teachers_repeats_itself_and_learns_something_else(tiny: dict[str, Any]) -> None:
    teacher = run(tiny, save_dir="teacher", epoch=4)
    taught = [run(tiny, save_dir=f"s{n}", teachers=["teacher"]) for n in (1, 2)]
    alone = run(tiny, save_dir="alone")
    losses = [
        [e.validation_loss for e in model.records if isinstance(e, Epoch)]
        for model in (*taught, alone)
    ]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0][-1] < losses[2][-1]
    assert teacher.info.resolved_config["teachers"] is None
    assert taught[0].info.resolved_config["teachers"] == "teacher"


def test_a_teacher_that_does_not_fit_is_refused(tiny: dict[str, Any], trained: Path) -> None:
    with pytest.raises(ConfigError, match="another tokenizer"):
        run(tiny, vocab_size=280, teachers=[trained])
    tokenizer = load_model(trained).tokenizer
    long = make_config({"teachers": str(trained), "seq_len": 64, "max_seq_len": 64})
    with pytest.raises(ConfigError, match="context of 32 tokens"):
        load_teachers(long, tokenizer, "cpu")
    with pytest.raises(ConfigError, match="on together with teachers"):
        make_config({"teachers": "a", "compile": "on"})


def test_other_seed_on_the_same_split_has_the_same_text(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"Document {number} says {number * number}. " * 20)
    keys = tiny | {"corpus_dir": str(folder), "max_steps": 2}
    first = run(keys, save_dir="a", seed=1)
    same = run(keys, save_dir="b", seed=2, split_seed=1)
    other = run(keys, save_dir="c", seed=2)
    hashes = [m.info.corpus["validation_sha256"] for m in (first, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert first.summary.validation_loss != same.summary.validation_loss

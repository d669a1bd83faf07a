"""A model learns from the predictions of finished models as well."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from descend import resume, run
from descend.config import make_config
from descend.data.cache_dir import remember_path
from descend.errors import ConfigError
from descend.machine import Execution
from descend.model.transformer import Transformer
from descend.runs.events import Epoch, Step
from descend.runs.model_files import load_model
from descend.training.checkpoint import save_checkpoint
from descend.training.distillation import (
    TEACHER_WEIGHT,
    load_teachers,
    make_distillation_loss,
)
from descend.training.loss import can_compile
from descend.training.trainer import run_training
from descend.training.training_run import create_run


@pytest.fixture
def networks(trained: Path) -> tuple[Transformer, Transformer]:
    """Two copies of a trained network, the second one disturbed."""
    first, second = (load_model(trained).model for _ in range(2))
    with torch.no_grad():
        for weight in second.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return first, second


def execution(compiled: bool = False) -> Execution:
    return Execution(
        device="cpu", precision="float32", attention="matmul", threads=1, torch="", processor="",
        compiled=compiled,
    )  # fmt: skip


def test_loss_value_is_that_of_the_text_and_the_gradient_follows_both(
    networks: tuple[Transformer, Transformer],
) -> None:
    teacher, student = networks
    torch.manual_seed(1)
    ids = torch.randint(0, student.shape.vocab_size, (2, 9))
    inputs, targets = ids[:, :-1], ids[:, 1:]
    loss, hits = make_distillation_loss((teacher,), execution())(student, inputs, targets, 0.0)
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


def test_mean_prediction_of_all_teachers_is_learned(
    networks: tuple[Transformer, Transformer],
) -> None:
    """The gradient of two teachers is the mean of their gradients."""
    ids = torch.arange(10).reshape(1, 10)
    student = copy.deepcopy(networks[0])
    gradients = []
    for teachers in (networks[:1], networks[1:], networks):
        student.zero_grad(set_to_none=True)
        compute = make_distillation_loss(teachers, execution())
        compute(student, ids[:, :-1], ids[:, 1:], 0.0)[0].backward()
        gradients.append(next(w.grad for w in student.parameters() if w.grad is not None).clone())
    first, second, both = gradients
    assert torch.allclose(both, (first + second) / 2, atol=1e-6)
    assert not torch.allclose(first, second, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, at a first compilation
def test_compiled_loss_agrees(networks: tuple[Transformer, Transformer]) -> None:
    if not can_compile():
        pytest.skip("no C++ compiler here")
    ids = torch.arange(34).reshape(2, 17)
    results = []
    for is_compiled in (False, True):
        student = copy.deepcopy(networks[1])
        compute = make_distillation_loss(networks[:1], execution(is_compiled))
        loss, hits = compute(student, ids[:, :-1], ids[:, 1:], 0.1)
        loss.backward()
        gradients = [w.grad for w in student.parameters() if w.grad is not None]
        results.append((loss, hits, gradients))
    (plain, hits, expected), (compiled, compiled_hits, gradients) = results
    assert compiled.item() == pytest.approx(plain.item(), rel=1e-5)
    assert int(hits) == int(compiled_hits)
    for mine, theirs in zip(gradients, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_run_with_teachers_repeats_itself_and_learns_something_else(tiny: dict[str, Any]) -> None:
    tiny |= {"bpe_dropout": 0.0}  # which four epochs have more of than two
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


def test_resume_with_teachers_is_bitwise_identical(tiny: dict[str, Any]) -> None:
    run(tiny, save_dir="teacher")
    keys = tiny | {"teachers": "teacher"}
    whole = run(keys, save_dir="whole")
    part = create_run(make_config(keys), Path("part"))
    records = run_training(part)
    for record in records:
        if isinstance(record, Step) and record.step == 7:
            break
    records.close()  # type: ignore[attr-defined]
    save_checkpoint(part.folder, part.state)
    resumed = resume("part")
    for mine, theirs in zip(resumed.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_teachers_in_a_folder_from_someone_else_are_not_opened(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(tiny, save_dir="teacher")
    part = create_run(make_config(tiny | {"teachers": "teacher"}), Path("part"))
    next(iter(run_training(part)))
    save_checkpoint(part.folder, part.state)
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "another_machine"))
    remember_path(str(tiny["corpus_dir"]))
    with pytest.raises(ConfigError, match="a run that was not begun on this machine"):
        resume("part")


def test_a_teacher_that_does_not_fit_is_refused(tiny: dict[str, Any], trained: Path) -> None:
    with pytest.raises(ConfigError, match="another tokenizer"):
        run(tiny, vocab_size=280, teachers=[trained])
    tokenizer = load_model(trained).tokenizer
    long = make_config({"teachers": str(trained), "seq_len": 64, "max_seq_len": 64})
    with pytest.raises(ConfigError, match="context of 32 tokens"):
        load_teachers(long, tokenizer, "cpu")


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

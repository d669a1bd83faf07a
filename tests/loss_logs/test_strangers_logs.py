"""Logs of several processes, in other languages, in bits, and with counters of their own."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.loss_logs.read_log import read_log

from .written_logs import Points, both_sides, train_points, validation_points, written

STEPS = range(50, 2001, 50)


def fall(step: int) -> float:
    """A loss that falls as a power law."""
    return round(1.7 + 8 * float((1 + step / 12) ** -0.3), 4)


def expected(shift: float = 0.0) -> Points:
    """The points of the curve."""
    return [(float(s), pytest.approx(fall(s) + shift)) for s in STEPS]


def comma(value: float) -> str:
    """A number with a decimal comma."""
    return f"{value:.4f}".replace(".", ",")


FOREIGN: dict[str, tuple[str, Callable[[int], str]]] = {
    "german": ("cp1252", lambda s: (
        f"Schritt {s:,} von 20.000 – Verlust: {comma(fall(s))} – Lernrate: 3,0e-04\n".replace(
            f"{s:,}", f"{s:,}".replace(",", "."))
        + f"  Prüfverlust nach Schritt {s}: {comma(fall(s) + 0.1)}")),
    "french": ("latin-1", lambda s: (
        f"étape {s} | perte d'entraînement : {fall(s)} | perte de validation : {fall(s) + 0.1:.4f}"
    )),
    "spanish": ("utf-8", lambda s: (
        f"Paso {s}: pérdida {fall(s)}, pérdida de validación {fall(s) + 0.1:.4f}")),
    "russian": ("cp1251", lambda s: (
        f"Эпоха 1, шаг {s}: потери = {fall(s)}, потери на валидации = {fall(s) + 0.1:.4f}")),
    "chinese": ("gb18030", lambda s: (
        f"【第1轮/共3轮】步数：{s}，损失：{fall(s)}，学习率：0.0003，用时：8.8秒，模型正在训练中\n"
        f"第1轮验证完成，这个模型的验证损失：{fall(s) + 0.1:.4f}，困惑度：{math.exp(3):.2f}")),
    "japanese": ("utf-8", lambda s: (
        f"エポック1 ステップ{s}：損失={fall(s)} 検証損失={fall(s) + 0.1:.4f} 学習率=0.0003")),
    "korean": ("utf-8", lambda s: f"스텝 {s}: 훈련 손실 {fall(s)}, 검증 손실 {fall(s) + 0.1:.4f}"),
}  # fmt: skip


@pytest.mark.parametrize("language", FOREIGN)
def test_log_is_read_when_its_words_are_foreign(language: str, tmp_path: Path) -> None:
    encoding, line = FOREIGN[language]
    log = read_log(written(tmp_path, "\n".join(map(line, STEPS)), encoding=encoding))
    assert both_sides(log) == (expected(), expected(0.1))


def test_english_log_is_left_alone_by_words_of_other_languages(tmp_path: Path) -> None:
    lines = [f"strata/de/media.txt step {s} loss {fall(s)} z 0,1 (2.048)" for s in STEPS]
    assert both_sides(read_log(written(tmp_path, "\n".join(lines)))) == (expected(), [])


def test_foreign_header_of_a_table_is_read(tmp_path: Path) -> None:
    rows = [f"{s};{comma(fall(s))};{comma(fall(s) + 0.1)}" for s in STEPS]
    path = written(tmp_path, ["Schritt;Verlust;val_verlust", *rows], name="a.csv")
    assert both_sides(read_log(path)) == (expected(), expected(0.1))


LABELS: dict[str, Callable[[int], str]] = {
    "torchrun": "[default{}]:".format,
    "torchtitan": "[rank{}]: ".format,
    "srun": "{}: ".format,
    "pdsh": "node-{}: ".format,
    "mpirun": "[1,{}]<stdout>: ".format,
    "named": "INFO rank={} ".format,
}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("differ", [0.0, 0.3])
def test_losses_of_one_process_are_the_curve(label: str, differ: float, tmp_path: Path) -> None:
    draw, lines = random.Random(3), []
    for s in STEPS:
        ranks = draw.sample(range(8), 8)
        lines += [
            f"{LABELS[label](rank)}step {s} loss {fall(s) + differ * rank:.4f}" for rank in ranks
        ]
        if s % 200 == 0:
            lines.append(f"{LABELS[label](0)}step {s} val_loss {fall(s) + 0.1:.4f}")
    training, validation = both_sides(read_log(written(tmp_path, "\n".join(lines))))
    assert training == expected()
    assert [at for at, _ in validation] == list(range(200, 2001, 200))


def test_losses_of_unnamed_processes_are_their_mean(tmp_path: Path) -> None:
    lines = [f"step {s} loss {fall(s) + 0.1 * n:.4f}" for s in STEPS for n in (0, 1, 2)]
    assert train_points(read_log(written(tmp_path, "\n".join(lines)))) == expected(0.1)
    twice = [f"step {s} loss {fall(s)}" for s in STEPS for _ in range(2)]
    assert train_points(read_log(written(tmp_path, "\n".join(twice)))) == expected()


def test_epochs_in_front_of_lines_are_no_processes(tmp_path: Path) -> None:
    lines = [f"{(s - 1) // 500}: step {s} loss {fall(s)}" for s in STEPS]
    assert train_points(read_log(written(tmp_path, "\n".join(lines)))) == expected()


@pytest.mark.parametrize("name", ["bpc", "bits_per_byte", "bits per character", "val/bpb"])
def test_loss_in_bits_becomes_nats(name: str, tmp_path: Path) -> None:
    lines = [f"[upd {s}] {name} {fall(s)}" for s in STEPS]
    path = written(tmp_path, "\n".join(lines))
    log, diagnosis = read_log(path), diagnose_log(path)
    assert log.bits
    assert [e.position for e in log.entries] == list(STEPS)
    assert any("logged in bits" in warning for warning in diagnosis.warnings)
    assert diagnosis.features is not None
    assert diagnosis.features.first == pytest.approx(fall(50) * math.log(2))


def test_bits_of_validation_are_not_compared_with_nats_of_training(tmp_path: Path) -> None:
    rise = [0.9 + 0.4 * max(0, s - 800) / 1200 for s in STEPS]
    lines = [f"step {s} | loss: {fall(s)}\nStep {s} | Validation bpb: {bits:.4f}"
             for s, bits in zip(STEPS, rise, strict=True)]  # fmt: skip
    diagnosis = diagnose_log(written(tmp_path, "\n".join(lines)))
    assert diagnosis.verdict == "too_little_data"
    assert diagnosis.features is not None
    assert diagnosis.features.gap is None
    assert not any("below the training loss" in warning for warning in diagnosis.warnings)


COUNTERS: dict[str, Callable[[int], str]] = {
    "after_step": lambda s: (
        f"Training loss at step {s}: {fall(s)}\nValidation loss after step {s}: {fall(s) + 0.1:.4f}"
    ),
    "trax": lambda s: (
        f"Step {s:6d}: train CrossEntropyLoss |  {fall(s):.8f}\n"
        f"Step {s:6d}: eval  CrossEntropyLoss |  {fall(s) + 0.1:.8f}"
    ),
    "lecture": lambda s: f"{s} train {fall(s):.6f}\n{s} val {fall(s) + 0.1:.4f}\n{s} hella 0.25",
    "message": lambda s: json.dumps(
        {"level": "info", "message": f"step {s} loss {fall(s)} val_loss {fall(s) + 0.1:.4f}"}
    ),
    "marian": lambda s: (
        f"[2024-01-01 10:00:00] Ep. 1 : Up. {s} : Sen. 6,400 : Cost {fall(s)} : Time 10.2s\n"
        f"[2024-01-01 10:00:00] [valid] Ep. 1 : Up. {s} : ce-mean-words : {fall(s) + 0.1:.4f}"
    ),
    "percent": lambda s: (
        f"Calculating loss...: 100%|####| 25/25 [00:15<00:00, 1.63it/s]\n"
        f"Iter {s}: Val loss {fall(s) + 0.1:.4f}, Val took 15.3s\nIter {s}: Train loss {fall(s)}"
    ),
    "best": lambda s: (
        f"step {s} | loss {fall(s)}\nstep {s} test loss: {fall(s) + 0.1:.4f}\n"
        f"test loss {fall(s) + 0.1:.4f} is the best so far, saving model"
    ),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_losses_stand_at_the_counter_that_is_beside_them(name: str, tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "\n".join(map(COUNTERS[name], STEPS))))
    assert both_sides(log) == (expected(), expected(0.1))


def test_micro_batches_are_counted_when_steps_stand_still(tmp_path: Path) -> None:
    lines = []
    for n in range(1, 401):
        lines.append(f"Epoch 1 | iter {n} step {n // 4} | loss train: {fall(n)}, val: n/a")
        if n % 100 == 0:
            lines.append(f"iter {n}: val loss {fall(n) + 0.1:.4f}, val time: 5271.54 ms")
    training, validation = both_sides(read_log(written(tmp_path, "\n".join(lines))))
    assert training == [(float(n), pytest.approx(fall(n))) for n in range(1, 401)]
    assert [at for at, _ in validation] == [100, 200, 300, 400]


def test_means_over_an_epoch_are_no_points_of_the_curve(tmp_path: Path) -> None:
    lines = []
    for s in range(100, 4001, 100):
        epoch = (s - 1) // 1000 + 1
        head = f"| epoch {epoch:03d}"
        lines.append(f"{head}: {s - 1000 * (epoch - 1):5d} / 1000 loss={fall(s)}, num_updates={s}")
        if s % 1000 == 0:
            lines.append(f"{head} | loss {fall(s) + 0.7:.4f} | num_updates {s + 1}")
            lines.append(f"{head} | valid on 'valid' subset | valid_loss {fall(s) + 0.1:.4f}")
    training, validation = both_sides(read_log(written(tmp_path, "\n".join(lines))))
    assert training == [(float(s), pytest.approx(fall(s))) for s in range(100, 4001, 100)]
    assert len(validation) == 4


def test_validation_stands_at_the_end_of_its_epoch(tmp_path: Path) -> None:
    lines = []
    for epoch in (1, 2, 3):
        lines += [
            f"| epoch {epoch} | {n:5d}/ 2983 batches | loss {fall(epoch * n)}"
            for n in range(200, 2983, 200)
        ]
        lines.append(f"| end of epoch {epoch} | time: 34.06s | valid loss  {6 - epoch}.44")
    validation = validation_points(read_log(written(tmp_path, "\n".join(lines))))
    assert [at for at, _ in validation] == [2983, 2 * 2983, 3 * 2983]


def diagnose_series(tmp_path: Path, losses: list[float]) -> LogDiagnosis:
    """The diagnosis of a table of losses, one a step."""
    rows = [f"{s},{loss:.5f},3e-4" for s, loss in enumerate(losses)]
    return diagnose_log(written(tmp_path, ["step,loss,lr", *rows], name="a.csv"))


def test_order_of_the_text_is_named_before_a_high_rate(tmp_path: Path) -> None:
    draw = random.Random(5)
    wave = [0.8 * math.sin(2 * math.pi * s / 400) for s in range(2400)]
    losses = [fall(s) + wave[s] + draw.gauss(0, 0.05) for s in range(2400)]
    diagnosis = diagnose_series(tmp_path, losses)
    assert diagnosis.normal.answer == "no"
    assert re.search(r"recurs every (399|40[01]) steps", diagnosis.normal.reason)


def test_loss_near_zero_without_validation_is_not_normal(tmp_path: Path) -> None:
    losses = [0.03 + 1.2 / (1 + s / 20) for s in range(2000)]
    assert diagnose_series(tmp_path, losses).normal.answer == "cannot tell"


def test_loss_near_zero_is_not_normal_when_validated_before_training_only(tmp_path: Path) -> None:
    # As axolotl prints one text that is learned by heart.
    losses = [4.75, 2.0312, 0.8984, 0.4102, 0.2031, 0.0889]
    rows = [{"eval_loss": 1.3643, "epoch": 0}]
    rows += [{"loss": loss, "epoch": float(n)} for n, loss in enumerate(losses, 1)]
    diagnosis = diagnose_log(written(tmp_path, "\n".join(map(str, rows))))
    assert diagnosis.normal.answer == "cannot tell"
    assert "without a later validation loss" in diagnosis.normal.reason


@pytest.mark.parametrize("key", ["mse", "rewards/chosen", "mlm_accuracy"])
def test_keys_of_json_lines_tell_the_kind_of_loss(key: str, tmp_path: Path) -> None:
    plain = [json.dumps({"step": s, "loss": fall(s)}) for s in STEPS]
    path = written(tmp_path, plain, name="log.jsonl")
    assert diagnose_log(path).normal.answer == "yes"
    rows = [json.dumps({"step": s, "loss": fall(s), key: 0.5}) for s in STEPS]
    path = written(tmp_path, rows, name="log.jsonl")
    assert diagnose_log(path).normal.answer == "cannot tell"


@pytest.mark.parametrize(
    "line",
    [
        "step {step}: perplexity (train) = {value}",
        "paso {step}: perplejidad de entrenamiento = {value}",
        "étape {step} | perplexité d'entraînement : {value}",
    ],
)
def test_perplexity_alone_is_read_when_its_split_stands_behind(line: str, tmp_path: Path) -> None:
    rows = [line.format(step=s, value=round(math.exp(fall(s)), 4)) for s in STEPS]
    training, validation = both_sides(read_log(written(tmp_path, "\n".join(rows))))
    assert [position for position, _ in training] == list(STEPS)
    assert [loss for _, loss in training] == pytest.approx([fall(s) for s in STEPS], rel=1e-4)
    assert validation == []


def test_loss_that_starts_near_zero_is_of_another_kind(tmp_path: Path) -> None:
    draw = random.Random(2)
    losses = [abs(draw.gauss(0.12, 0.06)) for _ in range(900)]
    diagnosis = diagnose_series(tmp_path, losses)
    assert diagnosis.normal.answer == "cannot tell"
    assert diagnosis.verdict == "unknown"


def test_flat_loss_of_fine_tuning_is_normal_when_validation_follows(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = [
        {"loss": round(1.3 + 0.7 * math.exp(-s / 60) + draw.gauss(0, 0.04), 4), "step": s}
        for s in range(10, 1001, 10)
    ]
    checks = [{"eval_loss": value, "step": s} for s, value in ((500, 1.34), (1000, 1.33))]
    text = "\n".join(str(row) for row in [*rows, *checks])
    assert diagnose_log(written(tmp_path, text)).normal.answer == "yes"

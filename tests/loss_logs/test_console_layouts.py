"""Layouts of consoles around the losses: bars, tables with other lines, headings, settings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.diagnose_log import diagnose_log
from descend.loss_logs.log import LossLog
from descend.loss_logs.number_parsing import number
from descend.loss_logs.read_log import read_log

from .written_logs import train_points, validation_points, written


def read_text(tmp_path: Path, text: str) -> LossLog:
    """The log that a file with `text` holds."""
    return read_log(written(tmp_path, text))


@pytest.mark.parametrize("evaluation", ["", "\r 50%|#####     | 8/16 [00:01<00:01]"])
def test_steps_come_from_the_bar_above_a_dictionary(evaluation: str, tmp_path: Path) -> None:
    lines = ["Map: 100%|##########| 9000/9000 [00:01<00:00]", "  Total optimization steps = 60"]
    for step in range(5, 61, 5):
        bar = "".join(f"\r  9%|#   | {s}/60 [00:02<00:09]" for s in (step - 1, step))
        lines.append(f"{bar}\r{{'loss': {9 - step / 10}, 'epoch': {round(step / 60, 1)}}}")
        if step % 20 == 0:
            lines.append(f"{evaluation}\r{{'eval_loss': {9.5 - step / 10}, 'epoch': 0.5}}")
    log = read_text(tmp_path, "\n".join(lines))
    assert log.unit == "steps"
    assert [position for position, _ in train_points(log)] == list(range(5, 61, 5))
    assert [position for position, _ in validation_points(log)] == [20, 40, 60]


@pytest.mark.parametrize("special", ["nan.0", "inf.0"])
def test_a_bar_may_pad_a_value_that_is_no_number(special: str, tmp_path: Path) -> None:
    bars = [
        f"Epoch 0:  1%|# | {step}/100 [00:01<00:09, v_num=1, "
        f"train_loss={5 - step / 20 if step < 50 else special}]"
        for step in range(10, 101, 10)
    ]
    points = train_points(read_text(tmp_path, "\r".join(bars)))
    assert [math.isfinite(loss) for _, loss in points] == [True] * 4 + [False] * 6


def test_a_validation_bar_makes_an_equal_value_a_new_measure(tmp_path: Path) -> None:
    text = ""
    for epoch in range(4):
        repeat = "" if epoch == 0 else ", val_loss=4.00"
        for step in (50, 100):
            loss = f"train_loss=4.{9 - epoch}0"
            text += f"\rEpoch {epoch}: 50%|## | {step}/100 [00:01<00:09, {loss}{repeat}]"
        text += "\rValidation DataLoader 0: 100%|## | 20/20 [00:01<00:00]"
        text += f"\rEpoch {epoch}: 100%|## | 100/100 [00:01<00:00, {loss}, val_loss=4.00]"
    log = read_text(tmp_path, text)
    assert [position for position, _ in validation_points(log)] == [100, 200, 300, 400]


@pytest.mark.parametrize(
    "between",
    [
        "Better model at epoch 0 with valid_loss value: 4.85.",
        "\rEpoch 2/9 : |##--| 17.00% [102/600 00:21<01:44 4.5]\r          \r",
        "saving to models/best.pth",
    ],
)
def test_a_table_goes_on_after_other_lines(between: str, tmp_path: Path) -> None:
    rows = [f"{e}  {5 - e / 10:.4f}  {5.1 - e / 10:.4f}  00:1{e}\n{between}\n" for e in range(9)]
    log = read_text(tmp_path, "epoch  train_loss  valid_loss  time\n" + "".join(rows))
    assert [position for position, _ in train_points(log)] == list(range(9))
    assert len(validation_points(log)) == 9


def test_a_cell_may_name_its_split_and_hold_an_arrow(tmp_path: Path) -> None:
    rows = ["  iter   loss     tok/s     tokens", "     1    val 3.900    16.8s"]
    for step in range(10, 101, 10):
        if step % 50 == 0:
            rows.append(f"  {step:4d}    val {3.9 - step / 100:.3f}    16.8s")
        rows.append(f"  {step:4d}    {3.8 - step / 100:.3f} ▼      373      9.7k")
        if step % 50 == 0:
            rows.append("  save  0000100_adapters.safetensors")
    log = read_text(tmp_path, "\n".join(rows))
    assert [position for position, _ in train_points(log)] == list(range(10, 101, 10))
    assert validation_points(log) == [(1, 3.9), (50, 3.4), (100, 2.9)]


@pytest.mark.parametrize("mark", ["▲", "▼", "↓", "*", "✓"])
def test_number_ignores_marks_around_it(mark: str) -> None:
    assert number(f"2.186 {mark}") == 2.186


@pytest.mark.parametrize(
    "title",
    [
        "***** Evaluating perplexity, Epoch {}/3 *****",
        "--- Validation {} ---",
        "Epoch {} validation:",
    ],
)
def test_a_title_with_a_number_names_the_split_of_the_next_loss(title: str, tmp_path: Path) -> None:
    lines = []
    for epoch in range(3):
        lines += [
            title.format(epoch),
            f"ppl: 11.1, loss: {2.4 - epoch / 10}",
            f"Epoch {epoch + 1}",
        ]
        lines += [
            f"Epoch: {epoch}, Step: {step}, Rank: 0, loss = {2.3 - epoch / 10 - step / 1e3}"
            for step in range(20)
        ]
    log = read_text(tmp_path, "\n".join(lines))
    assert [position for position, _ in train_points(log)] == list(range(60))
    assert [loss for _, loss in validation_points(log)] == pytest.approx([2.4, 2.3, 2.2])


def test_epoch_summaries_may_repeat_what_is_no_number(tmp_path: Path) -> None:
    summaries = [
        f"Epoch {e}/9\n5/5 [====] - 1s 2ms/step - loss: {x} - val_loss: {x}"
        for e, x in enumerate(["5.0", "4.5", "4.2", *["nan"] * 6], start=1)
    ]
    assert len(validation_points(read_text(tmp_path, "\n".join(summaries)))) == 9


def test_a_closing_validation_loss_without_a_step_counts(tmp_path: Path) -> None:
    lines = []
    for step in range(1, 41):
        lines.append(f"iter {step} step {step} | loss train: {9 - step / 10:.3f}, val: n/a")
        if step % 10 == 0:
            lines.append(f"iter {step}: val loss {9.1 - step / 10:.3f}")
    lines.append("Final evaluation | val loss: 5.250 | val ppl: 190.6")
    values = [loss for _, loss in validation_points(read_text(tmp_path, "\n".join(lines)))]
    assert values == [8.1, 7.1, 6.1, 5.1, 5.25]


@pytest.mark.parametrize(
    "place",
    [
        "/usr/lib/python3/torch/optim/lr_scheduler.py:209: UserWarning: Detected call of step()",
        '  File "C:\\code\\lr_scheduler.py", line 209, in step',
        "[lr_finder.cpp:209] Warning: slow",
        "INFO lr.py:209 - begin",
    ],
)
def test_a_line_of_source_code_is_no_rate(place: str, tmp_path: Path) -> None:
    log = read_text(
        tmp_path, f"{place}\n" + "\n".join(f"step {s} loss {9 - s / 20}" for s in range(40))
    )
    assert all(entry.learning_rate is None for entry in log.entries)
    assert len(train_points(log)) == 40


def test_a_comment_behind_a_setting_is_no_value(tmp_path: Path) -> None:
    text = "learning_rate = 1e-3 # can go higher\nmin_lr = 1e-4 # learning_rate / 10 usually\n"
    text += "\n".join(f"iter {s}: loss {9 - s / 20}" for s in range(40))
    assert {e.learning_rate for e in read_text(tmp_path, text).entries} == {1e-3}


@pytest.mark.parametrize(
    ("setting", "adam"),
    [
        ("using fused AdamW: True", True),
        ('  "optimizer": "adamw_bnb_8bit",', True),
        ("DeepSpeed Final Optimizer = FusedAdam", True),
        ("Adam (", True),
        ("optimizer: SGD", False),
        ("reading adam_smith.txt", False),
    ],
)
def test_the_optimizer_is_read_from_the_settings(setting: str, adam: bool, tmp_path: Path) -> None:
    losses = "\n".join(f"step {s} loss {9 - s / 20}" for s in range(40))
    assert read_text(tmp_path, f"{setting}\n{losses}").adam == adam


@pytest.mark.parametrize(
    ("call", "rate"),
    [
        ("learn.fit_one_cycle(9, 2)", 2),
        ("learn.fit_one_cycle(9, lr_max=2e-2)", 0.02),
        ("learn.fit(9, slice(1e-4, 3e-3))", 3e-3),
        ("learn.fine_tune(9, base_lr=0.5)", 0.5),
    ],
)
def test_a_typed_call_of_fastai_names_the_rate(call: str, rate: float, tmp_path: Path) -> None:
    rows = "\n".join(f"{e}  {5 - e / 10:.4f}  {5.1 - e / 10:.4f}  00:1{e}" for e in range(9))
    text = f">>> {call}\nepoch  train_loss  valid_loss  time\n{rows}\n"
    path = written(tmp_path, text)
    log = read_log(path)
    assert log.adam
    assert {e.learning_rate for e in log.entries} == {rate}
    assert (diagnose_log(path).verdict == "learning_rate_too_high") == (rate > 0.03)


@pytest.mark.parametrize(
    "layout",
    [
        "0m 15s (- 7m 1s) ({} 5%) {}",
        "1h 2m 5s ({}  5%) {}",
        "99/2000 [01:50<35:20,  1.12s/it][1m 51s ({} 5%) {}]",
        "{} 5% (0m 10s) {} Bahar / Arabic ✗ (Scottish)",
    ],
)
def test_losses_of_pytorch_text_tutorials_need_no_name(layout: str, tmp_path: Path) -> None:
    expected = [(500.0, 2.8434), (1000.0, 2.2), (1500.0, 1.9745)]
    text = "\nMy lord 3m 5s\n".join(layout.format(int(step), loss) for step, loss in expected)
    assert train_points(read_text(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("layout", "unit"),
    [
        ("{place} {loss}", "steps"),
        ("step: {place} tensor({loss}, device='cuda:0')", "steps"),
        ("{place}, {loss}", "steps"),
        ("Epoch {place}: {loss}", "epochs"),
        ("{loss}", "entries"),
        ("tensor({loss}, grad_fn=<NllLossBackward0>)", "entries"),
    ],
)
def test_numbers_without_a_name_are_losses_when_nothing_else_is_there(
    layout: str, unit: str, tmp_path: Path
) -> None:
    expected = [(1, 4.25), (2, 3.5), (3, 3.125), (4, math.nan)]
    lines = ["Start", *(layout.format(place=place, loss=loss) for place, loss in expected)]
    log = read_text(tmp_path, "\n".join(lines))
    assert log.unit == unit
    assert train_points(log) == [(place, pytest.approx(x, nan_ok=True)) for place, x in expected]
    assert any("no number in this log has a name" in note for note in log.notes)


@pytest.mark.parametrize(
    "lines",
    [
        ["0 0.25", "10 0.5", "20 0.75", "30 0.8"],  # accuracies, maybe
        ["0 4.25", "Hello", "10 3.5", "there", "20 3.0"],
        ["0 4.25 0.1", "10 3.5 0.2", "20 3.0 0.3"],
    ],
)
def test_numbers_without_a_name_are_left_when_they_may_be_anything(
    lines: list[str], tmp_path: Path
) -> None:
    with pytest.raises(LogError, match="no losses"):
        read_text(tmp_path, "\n".join(lines))

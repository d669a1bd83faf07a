"""No sentence of an answer contradicts another one, or the log itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.diagnose_log import LogDiagnosis
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import diagnose_text


def annealed(tmp_path: Path, peak: float, after: float) -> LogDiagnosis:
    """A run at its peak rate for 60 % of its length, after which the loss drops by `after` and
    stands still at a thousandth of the rate."""
    draw, lines = random.Random(3), []
    for step in range(100, 20_001, 100):
        loss = 1.5 + 9 * min(step, 12_000) ** -0.15 - (after if step > 12_000 else 0.0)
        rate = peak if step <= 12_000 else peak / 1000
        lines.append(f"step {step} loss {loss + draw.gauss(0, 0.02):.4f} lr {rate:.6g}")
        if step % 1000 == 0:
            lines.append(f"step {step} val_loss {loss + 0.1 + draw.gauss(0, 0.01):.4f}")
    return diagnose_text(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("peak", [1e-3, 20.0])
def test_curve_that_stands_still_at_an_annealed_rate_is_not_still_falling(
    tmp_path: Path, peak: float
) -> None:
    diagnosis = annealed(tmp_path, peak, after=0.3)
    text = format_log_diagnosis(diagnosis)
    assert diagnosis.normal.answer == "yes"
    assert diagnosis.verdict != "undertrained"
    assert "stands still since then" in text
    assert "still falling" not in text


def test_forecast_above_a_reached_loss_is_not_printed(tmp_path: Path) -> None:
    features = annealed(tmp_path, 1e-3, after=2.0).features
    assert features is not None
    assert features.extrapolation is None


def test_gain_under_one_percent_is_no_finding(tmp_path: Path) -> None:
    lines = []
    for step in range(10, 4001, 10):
        lines.append(f"step {step} loss {1 + 6 * step**-0.2:.4f} lr 0.001")
        if step % 200 == 0:
            lines.append(f"step {step} val_loss {max(2.6, 1.1 + 6 * step**-0.2):.4f}")
    level = diagnose_text(tmp_path, "\n".join(lines))
    falling = diagnose_text(tmp_path, "\n".join(x for x in lines if "val_loss" not in x))
    assert falling.verdict == "undertrained"
    assert level.verdict != "undertrained"
    assert "0.00 nats lower" not in format_log_diagnosis(level)


@pytest.mark.parametrize(("rate", "is_advised"), [(1e-3, True), (20.0, False)])
def test_higher_rate_is_not_advised_beyond_what_adam_is_used_at(
    tmp_path: Path, rate: float, is_advised: bool
) -> None:
    lines = [f"step {s} loss {1 + 6 * s**-0.2:.4f} lr {rate}" for s in range(10, 4001, 10)]
    diagnosis = diagnose_text(tmp_path, "\n".join(lines))
    assert diagnosis.verdict == "undertrained"
    assert ("a higher learning rate" in diagnosis.causes[0].advice) is is_advised


SURGE = [1.05, 1.9, 3.4, 8.7, 17.14]


def exploding(tmp_path: Path, end: str = "") -> LogDiagnosis:
    """A run that has learned when its last losses rise at once."""
    draw = random.Random(5)
    losses = [0.9 + 4 * n**-0.8 + draw.gauss(0, 0.03) for n in range(1, 396)] + SURGE
    lines = [f"step {500 * n} loss {loss:.4f}" for n, loss in enumerate(losses, 1)]
    return diagnose_text(tmp_path, "\n".join([*lines, end]))


def test_sudden_rise_tells_the_last_loss_and_goes_back_to_just_before_it(tmp_path: Path) -> None:
    diagnosis = exploding(tmp_path)
    text = format_log_diagnosis(diagnosis)
    assert diagnosis.verdict == "diverged"
    assert "ends at 17.14 (mean of the last twentieth: " in diagnosis.normal.reason
    assert ", the last 17.14)" in text
    place = int(text.partition("checkpoint up to step ")[2].split(", after")[0].replace(",", ""))
    assert 195_000 <= place <= 198_000
    assert "falls by -" not in text
    assert "it rises by" in text


@pytest.mark.parametrize(
    "end",
    ["loss is exploding, aborting.", "Loss exploded, stopping", "loss has diverged: exiting"],
)
def test_line_with_which_a_program_ended_itself_is_quoted(tmp_path: Path, end: str) -> None:
    diagnosis = exploding(tmp_path, end)
    assert diagnosis.break_off is not None
    assert diagnosis.break_off.kind == "exploded"
    assert repr(end) in format_log_diagnosis(diagnosis)


def test_values_in_the_message_of_an_error_are_no_sign_that_training_went_on(
    tmp_path: Path,
) -> None:
    end = "\n".join(
        ["Traceback (most recent call last):", '  File "train_loop.py", line 239, in run',
         "FloatingPointError: Loss became infinite or NaN at iteration=199!",
         "loss_dict = {'loss_cls': tensor(nan), 'loss_box_reg': tensor(0.2576)}",
         "Overall training speed: 554 iterations in 0:02:07"]
    )  # fmt: skip
    diagnosis = exploding(tmp_path, end)
    assert diagnosis.break_off is not None
    assert diagnosis.break_off.kind == "not a number"
    assert "FloatingPointError" in format_log_diagnosis(diagnosis)


def test_cause_that_the_fix_corrects_is_not_left_open_beside_it(tmp_path: Path) -> None:
    diagnosis = exploding(tmp_path)
    assert "lower the learning rate" in diagnosis.causes[0].advice
    left_open = format_log_diagnosis(diagnosis).partition("Not excluded")[2]
    assert left_open
    assert "learning rate too" not in left_open


def memorizing(tmp_path: Path) -> LogDiagnosis:
    """The output of gpt-2-simple on a text that is learned by heart."""
    lines = [f"[{10 * n} | {7 + 24.6 * n:.2f}] loss={0.05 + 3.2 * 0.97**n:.2f} avg={3.2:.2f}"
             for n in range(1, 201)]  # fmt: skip
    return diagnose_text(tmp_path, "\n".join(lines))


def test_memorized_text_comes_with_advice(tmp_path: Path) -> None:
    diagnosis = memorizing(tmp_path)
    assert "memorized" in diagnosis.normal.reason
    assert all(word in diagnosis.advice for word in ("hold out", "evaluate", "stop", "more text"))


def test_step_beside_the_seconds_is_read(tmp_path: Path) -> None:
    diagnosis = memorizing(tmp_path)
    assert isinstance(diagnosis.features, CurveFeatures)
    assert (diagnosis.features.unit, diagnosis.features.length) == ("steps", 2000.0)
    assert not any("neither steps nor epochs" in w for w in diagnosis.warnings)


def test_last_finite_loss_is_not_called_the_first_that_is_none(tmp_path: Path) -> None:
    lines = [f"loss = {2 + 6 * s**-0.5:.4f}, step = {s}" for s in range(101, 9002, 100)]
    diagnosis = diagnose_text(
        tmp_path, "\n".join([*lines, "ERROR:tensorflow:Model diverged with loss = NaN."])
    )
    text = format_log_diagnosis(diagnosis)
    assert diagnosis.verdict == "diverged"
    assert "last logged loss 9,001 steps" in text
    assert "first loss not finite" not in text


def test_loss_in_front_of_a_dictionary_of_other_measures_is_read(tmp_path: Path) -> None:
    lines = []
    for step in range(100, 2001, 100):
        lines.append(f"train | Iter: {step}/ 2000 | loss: {1 + 30 / step:.4f} | lr: 4.9e-05")
        lines.append(
            f"dev | avg_loss: {1.1 + 30 / step:.4f} | {{'exact_match': 2.6, 'rougeL': 19.84}}"
        )
    diagnosis = diagnose_text(tmp_path, "\n".join(lines))
    assert diagnosis.features is not None
    assert diagnosis.features.validation_points == 20
    assert "there is no validation loss" not in format_log_diagnosis(diagnosis)


def test_first_loss_is_one_number_throughout_an_answer(tmp_path: Path) -> None:
    losses = [0.173, 0.161, 0.160, 0.159, 0.158, 0.157, 0.155, 0.149, 0.150, 0.148]
    text = format_log_diagnosis(
        diagnose_text(tmp_path, "\n".join(f"Epoch: {n} loss: {x}" for n, x in enumerate(losses)))
    )
    assert "loss 0.17 → " in text
    assert "first losses are near 0.16" in text
    assert "starts at" not in text


def test_longer_training_is_not_left_open_where_validation_turns_upward(tmp_path: Path) -> None:
    lines = []
    for step in range(100, 4001, 100):
        lines.append(f"step {step} loss {3.5 - step / 1600:.4f}")
        lines.append(f"step {step} val_loss {2.2 + abs(step - 1000) / 2000:.4f}")
    diagnosis = diagnose_text(tmp_path, "\n".join(lines))
    assert diagnosis.verdict == "too_little_data"
    left_open = format_log_diagnosis(diagnosis).partition("Not excluded")[2].split("Not checked")[0]
    assert left_open
    assert "undertrained" not in left_open

"""'Normal' is earned: what speaks against a curve, or leaves it open, is said."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log


def fall(step: float, end: float = 1.7, exponent: float = 0.4) -> float:
    """A curve that falls to the end as training losses do."""
    return end + 8 * float((1 + step / 12) ** -exponent)


def lines(tmp_path: Path, losses: list[float], extra: str = "", every: int = 10) -> LogDiagnosis:
    """The diagnosis of a console log of `losses`, each line with `extra`."""
    path = tmp_path / "train.log"
    path.write_text(
        "\n".join(f"step {every * n}: loss {x:.4f}{extra}" for n, x in enumerate(losses))
    )
    return diagnose_log(path)


@pytest.mark.parametrize(
    ("extra", "begin", "said"),
    [
        (", rewards/chosen 0.3, rewards/rejected -0.2", 0.65, "preference"),
        (", reward 1.25, kl 0.02", 0.9, "reward"),
        (", mlm_accuracy 0.25", 10.8, "masked tokens"),
        (", noise_mse 0.1", 1.0, "diffusion"),
        (", acc 0.5", 0.68, "classification"),
        (", acc 0.34", 1.09, "classification"),
        (", f1 0.3", 4.0, "classification"),
        ("", math.log(2), "two classes"),
        (", wer 0.9", 5.0, "speech"),
    ],
)
def test_diagnose_log_cannot_tell_when_the_loss_is_another(
    extra: str, begin: float, said: str, tmp_path: Path
) -> None:
    diagnosis = lines(tmp_path, [begin * (1 + n / 4) ** -0.3 for n in range(200)], extra)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("cannot tell", "unknown")
    assert said in diagnosis.normal.reason
    assert not diagnosis.ruled_out
    lost = lines(tmp_path, [begin] * 20 + [math.nan] * 20, extra)
    assert lost.verdict == "diverged"


@pytest.mark.parametrize("extra", [", acc 0.1234", ", mean_token_accuracy 0.6", ", ppl 12.1"])
def test_what_language_models_log_beside_is_no_sign(extra: str, tmp_path: Path) -> None:
    assert lines(tmp_path, [fall(10 * n) for n in range(200)], extra).verdict == "undertrained"


def history(tmp_path: Path, rate: float, losses: list[float]) -> LogDiagnosis:
    """The diagnosis of a Trainer's record, whose optimizer is AdamW."""
    path = tmp_path / "trainer_state.json"
    rows = [{"step": 10 * n, "loss": x, "learning_rate": rate} for n, x in enumerate(losses)]
    path.write_text(json.dumps({"log_history": rows}))
    return diagnose_log(path)


def test_a_rate_far_outside_is_a_finding(tmp_path: Path) -> None:
    falling = [fall(10 * n) for n in range(100)]
    diagnosis = history(tmp_path, 0.3, falling)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("no", "learning_rate_too_high")
    assert diagnosis.causes[0].recommended_config == {"learning_rate": 1e-3}
    assert history(tmp_path, 3e-3, falling).verdict == "undertrained"
    # Of an unknown optimizer the same rate is one only where the curve agrees.
    sgd = lines(tmp_path, falling, " lr 20.0")
    assert (sgd.normal.answer, sgd.verdict) == ("yes", "undertrained")
    assert any("AdamW is used up to" in note for note in sgd.warnings)
    flat = [max(3.2, 6 - n / 2) for n in range(100)]
    assert lines(tmp_path, flat, " lr 0.5").verdict == "learning_rate_too_high"
    assert lines(tmp_path, falling, " lr 1e308").normal.answer == "no"


def test_a_first_loss_that_no_guess_costs_is_not_normal(tmp_path: Path) -> None:
    losses = [69.0, *(fall(10 * n) for n in range(1, 200))]
    path = tmp_path / "train.log"
    diagnosis = lines(tmp_path, losses)
    assert diagnosis.normal.answer == "no"
    assert "69.00" in diagnosis.normal.reason
    known = diagnose_log(path, vocab_size=50257)
    assert known.normal.answer == "no"
    early = lines(tmp_path, [fall(10 * n) - 1.5 for n in range(200)])
    assert early.normal.answer == "yes"
    assert diagnose_log(path, vocab_size=50257).normal.answer == "cannot tell"


def test_diagnose_log_asks_for_baselines_when_the_curve_is_flat(tmp_path: Path) -> None:
    draw = random.Random(3)
    stuck = [max(3.25, 5.4 - n / 3) + draw.gauss(0, 0.02) for n in range(200)]
    diagnosis = lines(tmp_path, stuck)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("cannot tell", "unknown")
    assert "--corpus" in diagnosis.normal.reason
    assert "undertrained" not in {r.cause for r in diagnosis.ruled_out}


def wave(n: int) -> float:
    """A fall with the same rise in each fifty entries."""
    return fall(10 * n, exponent=0.6) + 0.08 * math.sin(2 * math.pi * n / 50)


def epochs_of_one_order(tmp_path: Path, wave: Callable[[int], float]) -> LogDiagnosis:
    """The diagnosis of eight epochs of fifty lines each."""
    draw = random.Random(4)
    path = tmp_path / "train.log"
    path.write_text(
        "\n".join(
            f"Epoch {n // 50 + 1}, Step {n % 50 * 10}/500, "
            f"Loss: {wave(n) + draw.gauss(0, 0.01):.4f}"
            for n in range(400)
        )
    )
    return diagnose_log(path)


def test_the_same_order_each_epoch_is_a_note_beside_a_sound_curve(tmp_path: Path) -> None:
    diagnosis = epochs_of_one_order(tmp_path, wave)
    assert diagnosis.normal.answer == "yes"
    assert any("recurs each epoch" in note for note in diagnosis.warnings)
    draw = random.Random(4)
    noise = [fall(10 * n) + draw.gauss(0, 0.05) for n in range(400)]
    assert lines(tmp_path, noise).normal.answer == "yes"


def test_a_rise_from_epoch_to_epoch_counts_beside_the_same_order(tmp_path: Path) -> None:
    def risen(n: int) -> float:
        return wave(n) + 0.004 * max(0, n - 280)

    diagnosis = epochs_of_one_order(tmp_path, risen)
    assert diagnosis.features is not None
    assert diagnosis.features.recurs_every is not None
    assert diagnosis.verdict == "learning_rate_too_high"
    assert diagnosis.causes[0].evidence[0].value < diagnosis.features.highest_rise


def test_a_loss_that_goes_back_up_has_diverged(tmp_path: Path) -> None:
    losses = [fall(10 * n) for n in range(100)] + [7.5] * 60
    diagnosis = lines(tmp_path, losses)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("no", "diverged")


def test_a_single_loss_that_is_no_number_is_not_normal(tmp_path: Path) -> None:
    losses = [fall(10 * n) for n in range(200)]
    losses[90] = math.nan
    diagnosis = lines(tmp_path, losses)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("no", "unknown")
    assert "went on after" in diagnosis.normal.reason


def test_diagnose_log_cannot_tell_overfitting_when_validation_is_missing(tmp_path: Path) -> None:
    losses = [0.02 + 6 * (1 + n / 4) ** -1.0 for n in range(200)]
    diagnosis = lines(tmp_path, losses)
    assert diagnosis.normal.answer == "cannot tell"
    assert "overfitting cannot be detected" in diagnosis.normal.reason


def test_a_loss_that_falls_to_zero_in_small_steps_has_not_diverged(tmp_path: Path) -> None:
    losses = [6 * 0.93**n for n in range(150)]
    assert lines(tmp_path, [round(x, 3) for x in losses]).verdict != "diverged"
    assert lines(tmp_path, [*losses[:40], *[0.0] * 40]).verdict == "diverged"


def test_a_late_first_entry_rules_out_no_initialization(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    rows = [f"step {s}: loss {fall(s):.4f}" for s in range(10, 2001, 10)]
    path.write_text("\n".join(rows))
    ruled_out = {r.cause for r in diagnose_log(path, vocab_size=20_000).ruled_out}
    assert "bad_initialization" not in ruled_out


@pytest.mark.parametrize(("share", "answer"), [(0.05, "cannot tell"), (0.8, "yes")])
def test_diagnose_log_cannot_tell_when_the_validation_loss_does_not_follow(
    share: float, answer: str, tmp_path: Path
) -> None:
    losses = [fall(10 * n) for n in range(120)]
    path = tmp_path / "train.log"
    path.write_text(
        "\n".join(
            f"step {10 * n}: train loss {x:.4f}, val loss {5 + share * (x - losses[0]):.4f}"
            for n, x in enumerate(losses)
        )
    )
    diagnosis = diagnose_log(path)
    assert diagnosis.normal.answer == answer
    assert ("the validation loss stays near" in diagnosis.normal.reason) == (answer != "yes")


@pytest.mark.parametrize(
    ("name", "losses", "validation", "said"),
    [
        ("wer", lambda n: 0.2 + 2 * 0.8**n, lambda n: 0.2 + 1.6 * 0.8**n, "levels off, the valid"),
        ("wer", lambda n: 2.0 - 0.03 * n, lambda n: 1.9 - 0.03 * n, "still falling"),
        ("wer", lambda n: 2.0 - 0.04 * n, lambda n: 1.5 + 0.002 * (n - 12) ** 2, "overfits"),
        ("wer", lambda n: 2.0 + 0.01 * (n % 3), lambda n: 2.0, "no clear fall"),
    ],
)
def test_shape_of_a_minimized_loss_is_described(
    tmp_path: Path, name: str, losses: Callable[[int], float],
    validation: Callable[[int], float], said: str,
) -> None:  # fmt: skip
    path = tmp_path / "train.log"
    path.write_text("\n".join(
        f"epoch {n + 1}: train_loss {losses(n):.4f}, val_loss {validation(n):.4f}, {name} 12.0"
        for n in range(40)
    ))  # fmt: skip
    normal = diagnose_log(path).normal
    assert normal.answer == ("no" if said == "overfits" else "cannot tell")
    assert said in normal.reason


@pytest.mark.parametrize("extra", [", reward 1.2", ", d_loss 0.7", ", gan_loss 0.9",
                                   ", rewards/chosen 0.3"])  # fmt: skip
def test_adversarial_and_reward_losses_get_no_shape(tmp_path: Path, extra: str) -> None:
    normal = lines(tmp_path, [2 * 0.9**n + 0.4 for n in range(60)], extra).normal
    assert normal.answer == "cannot tell"
    assert "The shape" not in normal.reason

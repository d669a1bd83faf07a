"""An earlier run in the same log, and an accuracy, show that the last run learned nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log

from .written_logs import steps_alone, written

GOOD = [1.24, 0.85, 0.62, 0.46, 0.37, 0.34, 0.28, 0.26, 0.25, 0.23]
RUINED = [2.59, 2.53, 2.51, 2.49, 2.47, 2.48, 2.48, 2.48, 2.47, 2.46]


def keras_epochs(losses: Sequence[float], accuracy: float | None = None) -> list[str]:
    """What Keras prints of a training, with accuracies if there is one."""
    lines = []
    for epoch, loss in enumerate(losses, 1):
        right = "" if accuracy is None else f" - acc: {accuracy:.4f}"
        wrong = "" if accuracy is None else f" - val_acc: {accuracy:.4f}"
        lines += [f"Epoch {epoch}/{len(losses)}",
                  f"98/98 [====] - 41s 422ms/step - loss: {loss:.4f}{right} - "
                  f"val_loss: {loss + 0.04:.4f}{wrong}"]  # fmt: skip
    return lines


def diagnose_runs(tmp_path: Path, *runs: list[str]) -> LogDiagnosis:
    """The diagnosis of a log of several trainings."""
    return diagnose_log(written(tmp_path, [line for run in runs for line in run]))


def test_phase_that_ruins_the_model_of_the_one_before_is_not_normal(tmp_path: Path) -> None:
    diagnosis = diagnose_runs(tmp_path, keras_epochs(GOOD), keras_epochs(RUINED))
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("learning_rate_too_high", "no")
    assert "0.23" in diagnosis.normal.reason
    [cause] = diagnosis.causes
    assert "the model of the earlier run" in cause.advice


def test_phase_counted_in_steps_that_ruins_the_model_is_not_normal(tmp_path: Path) -> None:
    good = [steps_alone(0, n, 4.2 - 0.1 * n) for n in range(20)]
    ruined = [steps_alone(0, n, 6.9 - 0.01 * n) for n in range(20)]
    diagnosis = diagnose_runs(tmp_path, good, ruined)
    assert diagnosis.normal.answer == "no"
    assert "an earlier run in this log comes down to 2.30" in diagnosis.normal.reason


def test_phase_that_does_not_make_up_for_a_loss_is_not_called_normal(tmp_path: Path) -> None:
    half = [2.59 - 0.1 * n for n in range(10)]
    diagnosis = diagnose_runs(tmp_path, keras_epochs(GOOD), keras_epochs(half))
    assert diagnosis.normal.answer == "cannot tell"
    assert "has lost what that learned" in diagnosis.normal.reason


def test_trial_from_a_like_start_that_hardly_learns_is_not_normal(tmp_path: Path) -> None:
    first = [2.6, 1.9, 1.4, 1.0, 0.8, 0.7, 0.6, 0.5, 0.45, 0.42]
    diagnosis = diagnose_runs(tmp_path, keras_epochs(first), keras_epochs(RUINED))
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("unknown", "no")
    assert "though it begins alike" in diagnosis.normal.reason


SOUND: dict[str, list[list[float]]] = {
    "goes_on": [GOOD, [0.8, 0.5, 0.3, 0.22, 0.2, 0.19, 0.18, 0.17, 0.17, 0.16]],
    "better_trial": [[2.6 - 0.03 * n for n in range(10)], [2.6 * 0.85**n for n in range(10)]],
    "worse_trial_that_learns": [[2.6 * 0.75**n for n in range(10)],
                                [2.6 * 0.93**n for n in range(10)]],
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_later_run_that_learns_has_its_own_verdict(name: str, tmp_path: Path) -> None:
    runs = SOUND[name]
    diagnosis = diagnose_runs(tmp_path, *(keras_epochs(run) for run in runs))
    alone = diagnose_runs(tmp_path, keras_epochs(runs[-1]))
    assert diagnosis.normal == alone.normal
    assert diagnosis.verdict == alone.verdict


@pytest.mark.parametrize("classes", [2, 5, 12, 200])
def test_accuracy_of_a_guess_at_the_end_is_named(classes: int, tmp_path: Path) -> None:
    draw = random.Random(classes)
    losses = [math.log(classes) * (1.03 - 0.003 * n) for n in range(10)]
    losses = [loss + draw.gauss(0, 0.002) for loss in losses]
    diagnosis = diagnose_runs(tmp_path, keras_epochs(losses, 1.1 / classes))
    assert diagnosis.normal.answer != "yes"
    assert "as of a guess" in diagnosis.normal.reason


@pytest.mark.parametrize(("loss", "accuracy"), [(4.0, 0.3), (2.3, 0.5), (0.69, 0.0), (2.3, 0.01)])
def test_accuracy_above_a_guess_or_of_something_else_is_not_named(
    loss: float, accuracy: float, tmp_path: Path
) -> None:
    losses = [loss + 0.1 - 0.01 * n for n in range(11)]
    diagnosis = diagnose_runs(tmp_path, keras_epochs(losses, accuracy))
    assert "as of a guess" not in diagnosis.normal.reason

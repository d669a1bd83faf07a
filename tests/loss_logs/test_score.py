"""The benchmark of loss logs counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from script_loading import load_script

SCORE = Path(__file__).parents[2] / "benchmarks" / "loss_logs" / "score.py"


score = load_script(SCORE)
ANSWER: dict[str, Any] = {
    "file": "dev/run.log", "half": "dev", "true_state": "undertrained", "traits": ["no_validation"],
    "acceptable": ["undertrained", "normal"], "must_not": ["diverged"], "train_points": 40,
    "train_points_finite": 40, "train_points_also_right": ["38..41"], "val_points": 0,
    "val_points_also_right": [], "first_train_loss": 9.0, "last_train_loss": 5.1,
    "first_val_loss": None, "last_val_loss": None, "min_val_loss": None, "last_step": 390,
    "total_steps": 400, "steps_also_right": [], "first_bad_point": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, (1, 1, 1, 0)),
        ({"last_step": 4, "total_steps": 5}, (1, 0, 1, 0)),
        ({"last_step": 780, "total_steps": 800, "steps_also_right": [400]}, (1, 1, 1, 0)),
        ({"train_points": 39, "train_points_also_right": []}, (1, 0, 1, 0)),
        ({"first_train_loss": 8.0}, (1, 0, 1, 0)),
        ({"must_not": ["Normal"]}, (1, 1, 0, 1)),
        ({"acceptable": ["diverged"], "must_not": []}, (1, 1, 0, 0)),
    ],
)
def test_score_counts_each_miss(
    change: dict[str, Any], counts: tuple[int, int, int, int], tmp_path: Path
) -> None:
    (tmp_path / "dev").mkdir()
    lines = [f"step {10 * n} loss {9 - n / 10:.4f}" for n in range(40)]
    (tmp_path / "dev" / "run.log").write_text("\n".join(lines))
    answer = json.loads(json.dumps(ANSWER)) | change
    summary = score.summarize_scores([score.score_log(tmp_path / answer["file"], answer)])
    names = ("read", "split_and_position_right", "verdict_right", "wrong_normal")
    assert tuple(summary[name] for name in names) == counts
    assert summary["missing_validation_unsaid"] == 0


def test_score_counts_a_log_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("no losses here")
    summary = score.summarize_scores([score.score_log(tmp_path / "run.log", ANSWER)])
    assert (summary["read"], summary["verdict_right"]) == (0, 0)

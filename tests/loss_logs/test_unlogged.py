"""States of a Trainer that logged too seldom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.read_log import read_log

from .written_logs import written


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"logging_steps": 50, "global_step": 9}, "empty log_history: it logs every 50 steps "
         r"\(logging_steps\), and the run had 9. Fix: Train with logging_steps=1\."),
        ({"logging_steps": 0.5, "max_steps": 4}, "every 2 steps .* the run had 4"),
        ({"logging_steps": 10, "max_steps": 900}, 'had 900 steps. Fix: .*logging_strategy="steps"'),
        ({"logging_steps": 100, "global_step": 250, "log_history": [
            {"loss": 3.1, "step": 100}, {"loss": 2.9, "step": 200}]},
         "a log_history with 2 losses: it logs every 100 steps .* Train with logging_steps=10"),
        ({"logging_steps": 500, "max_steps": 2}, "for more than 2 steps, which teach a model"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_folder", [True, False])
def test_read_log_says_why_nothing_was_logged_when_the_trainer_logs_too_seldom(
    state: dict[str, object], said: str, in_folder: bool, tmp_path: Path
) -> None:
    content = json.dumps({"log_history": []} | state)
    path = written(tmp_path, content, "trainer_state.json")
    with pytest.raises(LogError, match=said):
        read_log(tmp_path if in_folder else path)

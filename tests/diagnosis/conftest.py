"""A text that tests of the diagnosis train on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from descend.diagnosis.run_context import RunContext
    from descend.diagnosis.trial_series import TrialSeries


@pytest.fixture
def chain(tmp_path: Path) -> str:
    """60 kB of words, each followed by one of twelve: much to learn, and hardly a phrase twice. In
    pieces: of a run that has hardly begun to learn letters, whole words would be the best
    treatment.
    """
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghij", k=rng.randrange(2, 7))) for _ in range(40)]
    after = {word: rng.sample(words, 12) for word in words}
    text = [words[0]]
    while len(text) < 12_000:
        text.append(rng.choice(after[text[-1]]))
    path = tmp_path / "chain.txt"
    path.write_text(" ".join(text), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def context(trained: Path) -> RunContext:
    """The finished run of `trained`, opened for diagnosis."""
    from descend.diagnosis.run_context import load_run_context

    return load_run_context(trained)


@pytest.fixture
def series(context: RunContext) -> TrialSeries:
    """A series as long as the run, with no result."""
    from descend.diagnosis.treatments import control_config
    from descend.diagnosis.trial_budget import TrialBudget
    from descend.diagnosis.trial_series import TrialSeries
    from descend.progress import ignore_progress

    return TrialSeries(
        context,
        control_config(context),
        context.total_steps,
        TrialBudget(0.0),
        ignore_progress,
    )

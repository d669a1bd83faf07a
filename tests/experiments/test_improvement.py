"""What the records of an improvement say."""

from __future__ import annotations

from typing import Any

import pytest

from descend.experiments.improvement import (
    Improvement,
    Origin,
    TrainedModel,
    TreatmentTrial,
    contributions,
    find_origin,
)


def model(origin: Origin, bits: float) -> TrainedModel:
    return TrainedModel(
        run=origin, origin=origin, changes={}, bits_per_byte=bits, predicted=None, seconds=1.0
    )


def trial(cause: str, changes: dict[str, Any], *, is_of_your_run: bool) -> TreatmentTrial:
    return TreatmentTrial(
        cause=cause, strength=1.0, changes=changes, control=2.0, treated=1.9, gain=0.1, ci95=None,
        pruned=False, accepted=True, seconds=1.0, is_of_your_run=is_of_your_run,
    )  # fmt: skip


TRIALS = [
    trial("batch_too_small", {"batch_size": 8}, is_of_your_run=True),
    trial("batch_too_small", {"batch_size": 16}, is_of_your_run=True),
    trial("bad_schedule", {"schedule": "wsd"}, is_of_your_run=False),
]


def test_contributions_leave_out_trials_of_the_given_run() -> None:
    """They led to the repaired run, not to the treated one."""
    models = [model("your run", 3.0), model("repaired", 2.0), model("treated", 1.9)]
    improvement = Improvement(source="own", corpus="text", candidates=models, trials=TRIALS)
    reasons = [c.reason for c in contributions(improvement)]
    assert "bad_schedule" in reasons
    assert "batch_too_small" not in reasons


@pytest.mark.parametrize(
    ("settings", "models", "origin"),
    [
        ({"teachers": "model_1", "batch_size": 16}, [], "distilled"),
        ({"teachers": None, "batch_size": 16, "schedule": "cosine"}, [], "repaired"),
        ({"teachers": None, "batch_size": 4, "schedule": "wsd"}, [], "treated"),
        ({"teachers": None, "batch_size": 8, "schedule": "cosine"}, [], "planned"),
        ({"batch_size": 8}, [model("planned", 2.0)], "another plan"),
    ],
)
def test_find_origin_names_why_a_model_is_trained(
    settings: dict[str, Any], models: list[TrainedModel], origin: Origin
) -> None:
    improvement = Improvement(source="own", corpus="text", candidates=models, trials=TRIALS)
    assert find_origin(improvement, settings) == origin

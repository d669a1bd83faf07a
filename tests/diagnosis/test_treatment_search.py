"""The search over treatments: strength as a range, equal time, losing trials ended early."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.config import make_config
from descend.config_sources import with_changes
from descend.diagnosis.treatment_search import Move, TreatmentSearch, at_strength, has_strength
from descend.errors import RunFolderError
from descend.experiments.improvement import (
    Improvement,
    TrainedModel,
    TreatmentTrial,
    contributions,
    open_improvement,
    save,
    without_interrupted,
)
from descend.planner.step_time import StepTimeModel

RATES = StepTimeModel(0.0011, 0.0055, 0.41, 0.0024, 0.005, 0.0022)


def test_strength_moves_numbers_by_ratio() -> None:
    config = make_config({"learning_rate": 0.001, "batch_size": 16})
    keys = {"learning_rate": 0.01, "batch_size": 4, "schedule": "cosine"}
    assert at_strength(config, keys, 1.0) == keys
    half = at_strength(config, keys, 0.5)
    assert half == {"learning_rate": 0.0032, "batch_size": 8, "schedule": "cosine"}
    assert at_strength(config, keys, 2.0)["learning_rate"] == pytest.approx(0.1)
    assert has_strength(config, keys)
    assert not has_strength(config, {"schedule": "cosine"})


def search_of(tiny: dict[str, Any], changes: dict[str, Any], seconds: float) -> TreatmentSearch:
    small = {"embed_dim": 32, "num_layers": 1, "ff_dim": 64, "optimizer": "adamw",
             "warmup_steps": None, "epoch": None}  # fmt: skip
    config = make_config(tiny | small | changes)
    ends = time.perf_counter() + seconds
    return TreatmentSearch(config, 300, RATES, 40, ends, lambda trial: None)


def test_search_finds_a_higher_rate_and_prunes_what_harms(tiny: dict[str, Any]) -> None:
    search = search_of(tiny, {"learning_rate": 0.0001}, 280)
    higher = Move("learning_rate_too_low", {"learning_rate": 0.001})
    worse = Move("too_high", {"learning_rate": 1e-7})
    result = search.run([higher, worse])
    assert result.changes["learning_rate"] >= 0.001
    accepted = [t for t in result.trials if t.accepted]
    assert len(accepted) == 1
    assert accepted[0].gain > 0
    lost = [t for t in result.trials if t.cause == "too_high"]
    assert lost
    assert all(t.gain < 0 and not t.accepted for t in lost)
    assert lost[0].pruned


def test_search_begins_nothing_after_its_time(tiny: dict[str, Any]) -> None:
    search = search_of(tiny, {"learning_rate": 0.0001}, 0.0)
    assert search.run([Move("x", {"learning_rate": 0.001})]).trials == []


def test_trials_keep_the_time_of_the_first_control(tiny: dict[str, Any]) -> None:
    search = search_of(tiny, {"learning_rate": 0.0001}, 0.0)
    first = search.config
    assert search.steps_for(first) == 40
    larger = with_changes(first, {"batch_size": 8 * first.batch_size})
    assert search.steps_for(larger) < 40
    search.config = larger  # as if that was kept: it changes no trial's time
    assert search.steps_for(first) == 40


def test_treatment_of_two_causes_is_tried_once(tiny: dict[str, Any]) -> None:
    search = search_of(tiny, {"learning_rate": 0.001}, 280)
    keys = {"learning_rate": 1e-7}
    result = search.run([Move("learning_rate_too_high", keys), Move("diverged", keys)])
    assert {t.cause for t in result.trials} == {"learning_rate_too_high"}


def model(run: str, origin: Any, bits: float) -> TrainedModel:
    return TrainedModel(
        run=run, origin=origin, changes={}, bits_per_byte=bits, predicted=None, seconds=1.0
    )


def test_contributions_name_the_recipe_and_each_accepted_treatment() -> None:
    trial = TreatmentTrial(
        cause="batch_too_large", strength=1.0, changes={"batch_size": 4}, control=2.3, treated=2.2,
        gain=0.1, ci95=(0.05, 0.15), pruned=False, accepted=True, seconds=1.0,
    )  # fmt: skip
    models = [model("a", "your run", 2.6), model("b", "planned", 2.2), model("c", "treated", 2.1)]
    result = Improvement(source="a", corpus="t", candidates=models, trials=[trial])
    assert result.best is models[2]
    parts = contributions(result)
    assert [round(p.gain, 3) for p in parts] == [0.4, 0.1, 0.1]
    assert [p.measured_by for p in parts] == ["full runs", "short trial", "full runs"]
    # A treatment that led to no better model brought nothing.
    worse = Improvement(source="a", corpus="t", candidates=[*models[:2], model("c", "treated", 3)])
    assert [p.reason for p in contributions(worse)] == ["the planned recipe instead of yours"]


def test_interrupted_improvement_is_taken_up(tmp_path: Path) -> None:
    result = Improvement(source="a", corpus="t", candidates=[model("a", "your run", 2.6)])
    save(result, tmp_path)
    assert open_improvement(tmp_path, "a", "t") == result
    with pytest.raises(RunFolderError, match="an improvement of a"):
        open_improvement(tmp_path, "b", "t")


def test_contribution_tells_the_settings_that_differ_with_an_interval() -> None:
    pieces = [2.0 + 0.1 * n for n in range(8)]
    first = msgspec.structs.replace(
        model("a", "your run", 2.35), pieces=pieces, settings={"embed_dim": 64, "optimizer": "muon"}
    )
    second = msgspec.structs.replace(
        model("b", "planned", 2.25),
        pieces=[piece - 0.1 - 0.01 * (n % 2) for n, piece in enumerate(pieces)],
        settings={"embed_dim": 128, "optimizer": "muon"},
    )  # fmt: skip
    (part,) = contributions(Improvement(source="a", corpus="t", candidates=[first, second]))
    assert part.changes == {"embed_dim": 128}
    assert part.ci95 is not None
    low, high = part.ci95
    assert 0.09 < low < 0.105 < high < 0.12
    unlike = msgspec.structs.replace(second, pieces=pieces[:3])
    (part,) = contributions(Improvement(source="a", corpus="t", candidates=[first, unlike]))
    assert part.ci95 is None


def test_model_out_of_a_checkpoint_goes_once_the_run_is_finished() -> None:
    models = [model("a", "your run", 2.6), model("best_so_far", "interrupted", 2.4)]
    improvement = Improvement(source="a", corpus="t", candidates=models)
    assert improvement.best is models[1]
    assert without_interrupted(improvement).candidates == models[:1]

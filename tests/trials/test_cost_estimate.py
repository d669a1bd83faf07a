"""What a series of trials will cost, by the step times of this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from descend.config import make_config
from descend.model.cost import forward_flops_per_token, training_flops_per_token
from descend.runs.cached_record import write_cached
from descend.trials.cached_trial import run_trial
from descend.trials.cost_estimate import estimate_trial_seconds, evaluation_seconds
from descend.trials.prepared_trial import prepare_trial
from descend.trials.timing import step_timing
from descend.trials.timing.step_timing import StepTime
from descend.trials.trial_evaluation import evaluation_segments
from descend.trials.trial_spec import make_trial_spec


def test_cost_estimate_excludes_cached_trials(tiny: dict[str, object]) -> None:
    small = make_trial_spec(make_config(tiny | {"seed": 77}), steps=10)
    large = make_trial_spec(make_config(tiny | {"seed": 77}), steps=1000)
    costs = estimate_trial_seconds([small, large])
    assert 0 < costs[small.key] < costs[large.key]
    run_trial(small)
    assert estimate_trial_seconds([small, large]).keys() == {large.key}


@pytest.mark.parametrize("tokenizer", ["bpe", "byte"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_evaluation_cost_scales_with_evaluated_tokens(
    tiny: dict[str, object], tokenizer: str, checkpointing: bool
) -> None:
    config = make_config(tiny | {"tokenizer": tokenizer, "activation_checkpointing": checkpointing})
    config = config.model_copy(update={"validation_fraction": 0.5})
    ready = prepare_trial(make_trial_spec(config, evaluation_tokens=400))
    tokens = sum(len(part) - 1 for part in evaluation_segments(ready.store, 400))
    assert tokens < len(ready.store.validation) / 2, "else all of it is judged anyway"
    forward = forward_flops_per_token(ready.shape, config.seq_len)
    step = training_flops_per_token(ready.shape, config.seq_len, checkpointing)
    assert (step > 3 * forward) is checkpointing
    seconds = evaluation_seconds(ready, StepTime(per_token=1.0, per_update=0.0))
    assert seconds == pytest.approx(tokens * forward / step, rel=0.1)


def test_estimate_places_a_network_between_the_timed_ones_by_its_operations(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(step_timing, "count_active_cores", lambda: 0.0)
    specs = [make_trial_spec(make_config(tiny | {"num_layers": n}), steps=10) for n in (1, 2, 3)]
    ready = [prepare_trial(spec) for spec in specs]
    for one, per_update in ((ready[0], 1.0), (ready[2], 3.0)):
        remembered = {"step_time": StepTime(0.0, per_update), "at": time.time()}
        write_cached(step_timing._file(one), remembered | {"is_contended": False})
    seconds = estimate_trial_seconds(specs)
    # A layer more is as many operations more each time, so the second lies half way.
    assert [seconds[spec.key] for spec in specs] == pytest.approx([10.0, 20.0, 30.0])

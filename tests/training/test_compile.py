"""Compiling is tried fairly, and what came of it is reported, remembered only where it works."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.machine import RETUNE_AFTER_SECONDS
from descend.model.shape import shape_from_run_config
from descend.training.execution.autotune import autotune_execution
from descend.training.execution.backends import describe_execution
from descend.training.execution.candidate_timing import TuningResult
from descend.training.loss import can_compile
from descend.training.step_inputs import make_step_inputs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_compile(), reason="no C++ compiler here"),
    pytest.mark.filterwarnings("ignore"),
]

FOREVER = 10**9


@pytest.fixture(autouse=True)
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)


def choose(width: int, steps: int = FOREVER) -> TuningResult:
    config = make_config(
        {"embed_dim": width, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "seq_len": 8,
         "max_seq_len": 8, "batch_size": 7, "device": "cpu", "precision": "float32"}
    )  # fmt: skip
    tokens = torch.arange(500).numpy() % 300
    batches = BatchSampler(tokens, 8, config.batch_size, 0)
    shape = shape_from_run_config(config, 300)
    return autotune_execution(make_step_inputs(config, shape, batches), steps)


def load_tuning_result(own_cache: Path, before: set[Path]) -> TuningResult:
    files = set((own_cache / "engine").glob("*-compiled.json")) - before
    (file,) = files
    return msgspec.json.decode(file.read_bytes(), type=TuningResult)


def test_autotuning_times_compiled_and_eager_backends(own_cache: Path) -> None:
    before = set((own_cache / "engine").glob("*"))
    choice = choose(24)
    compiled = msgspec.structs.replace(choice.execution, compiled=True)
    plain = msgspec.structs.replace(choice.execution, compiled=False)
    assert {
        describe_execution(compiled),
        describe_execution(plain),
    } <= choice.seconds_per_token.keys()
    # Both were timed with the whole batch: the plain way once more than for itself.
    assert load_tuning_result(own_cache, before).seconds_per_token.keys() == {
        describe_execution(compiled),
        describe_execution(plain),
    }


def test_cached_compiled_backend_requires_a_compiler(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = choose(24)  # remembered, whatever won
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not choose(24).execution.compiled
    monkeypatch.undo()
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    assert choose(24) == first


def test_failed_compilation_is_retried_later(own_cache: Path) -> None:
    from torch._inductor import config as inductor

    before = set((own_cache / "engine").glob("*"))
    with inductor.patch({"cpp.cxx": ("no_such_compiler",), "cpp.vec_isa_ok": True}):
        choice = choose(40)
    assert not choice.execution.compiled
    failed = load_tuning_result(own_cache, before)
    assert not any("compiled" in name for name in failed.seconds_per_token)
    assert failed.timed_under_load, f"asked again after {RETUNE_AFTER_SECONDS} seconds"

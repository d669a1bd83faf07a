"""Compiling is tried fairly, and what came of it is reported, remembered only where it works."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from descend.machine import RETUNE_AFTER_SECONDS
from descend.training.execution.backends import describe_execution
from descend.training.execution.candidate_timing import TuningResult
from descend.training.loss import can_compile

from .execution.small_choice import choose

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_compile(), reason="no C++ compiler here"),
    pytest.mark.filterwarnings("ignore"),
]

FOREVER = 10**9


def choose_for_long(width: int) -> TuningResult:
    return choose(FOREVER, embed_dim=width, ff_dim=64, batch_size=7, precision="float32")


@pytest.fixture(autouse=True)
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)


def load_tuning_result(own_cache: Path, before: set[Path]) -> TuningResult:
    files = set((own_cache / "engine").glob("*-compiled.json")) - before
    (file,) = files
    return msgspec.json.decode(file.read_bytes(), type=TuningResult)


def test_autotuning_times_compiled_and_eager_backends(own_cache: Path) -> None:
    before = set((own_cache / "engine").glob("*"))
    choice = choose_for_long(24)
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
    first = choose_for_long(24)  # remembered, whatever won
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not choose_for_long(24).execution.compiled
    monkeypatch.undo()
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    assert choose_for_long(24) == first


def test_failed_compilation_is_retried_later(own_cache: Path) -> None:
    from torch._inductor import config as inductor

    before = set((own_cache / "engine").glob("*"))
    with inductor.patch({"cpp.cxx": ("no_such_compiler",), "cpp.vec_isa_ok": True}):
        choice = choose_for_long(40)
    assert not choice.execution.compiled
    failed = load_tuning_result(own_cache, before)
    assert not any("compiled" in name for name in failed.seconds_per_token)
    assert failed.timed_under_load, f"asked again after {RETUNE_AFTER_SECONDS} seconds"

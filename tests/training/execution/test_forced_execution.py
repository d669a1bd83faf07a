"""What the configuration forces is obeyed, reported, stored and taken again on resume."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.errors import ConfigError
from descend.machine import Execution
from descend.report.text.run_notices import run_notices
from descend.runs.run_files import read_info
from descend.training.execution.backends import describe_execution
from descend.training.loss import can_compile
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run

from .small_choice import choose

Tiny = dict[str, Any]
Timing = Callable[..., tuple[float, float]]


def timing(tried: list[Execution], compiled: float = 2e-6) -> Timing:
    """A clock that gives every execution a microsecond a token, compiled ones `compiled`; without
    it a test would have to compile."""

    def time_step(execution: Execution, *_: object, **__: object) -> tuple[float, float]:
        tried.append(execution)
        return compiled if execution.compiled else 1e-6, 1e-6

    return time_step


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with two cores at rest, a compiler, and nothing remembered: its cache."""
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    monkeypatch.setattr("descend.training.execution.autotune.can_compile", lambda *_: True)
    monkeypatch.setattr("descend.training.execution.backends.can_compile", lambda *_: True)
    return tmp_path / "cache" / "engine"


@pytest.mark.parametrize("kernel", ["matmul", "fused"])
def test_requested_attention_kernel_excludes_alternatives(at_rest: Path, kernel: str) -> None:
    choice = choose(attention=kernel)
    assert choice.execution.attention == kernel
    assert all(f"{kernel} attention" in name for name in choice.seconds_per_token)
    assert len({name.split(" attention")[0] for name in choose().seconds_per_token}) > 1


@pytest.mark.parametrize("busy", [0.0, 1.5])
def test_requested_threads_are_respected_under_contention(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch, busy: float
) -> None:
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: busy)
    # Of a real clock two threads may be of no use, where something really keeps a core.
    monkeypatch.setattr(
        "descend.training.execution.candidate_timing.time_training_step", timing([])
    )
    choice = choose(threads=3)  # more than there are: obeyed all the same
    assert choice.execution.threads == 3
    assert {name.rsplit(", ")[-1] for name in choice.seconds_per_token} == {"3 threads"}
    assert choose(threads=3).execution == choice.execution  # read back
    free = {name.rsplit(", ")[-1] for name in choose().seconds_per_token}
    assert free == ({"2 threads", "1 thread"} if busy else {"2 threads"})


def test_requested_threads_do_not_change_other_runs() -> None:
    before = torch.get_num_threads()
    assert choose(threads=before + 1).execution.threads == before + 1
    assert torch.get_num_threads() == before
    assert choose().execution.threads <= before


def test_autotuning_caches_requested_and_automatic_choices_separately(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Execution] = []
    monkeypatch.setattr(
        "descend.training.execution.candidate_timing.time_training_step", timing(tried)
    )
    free = choose(10**9)
    forced_configs: list[dict[str, object]] = [
        {"attention": free.execution.attention}, {"threads": free.execution.threads},
        {"compile": "off"}, {"compile": "on"}, {"precision": "float32", "attention": "fused"},
    ]  # fmt: skip
    for number, execution in enumerate(forced_configs):
        before, files = len(tried), set(at_rest.iterdir())
        choose(10**9, **execution)
        assert len(tried) > before, execution  # not read back from another's
        assert set(at_rest.iterdir()) > files, execution
        again = len(tried)
        for known in forced_configs[: number + 1]:
            choose(10**9, **known)
        assert choose(10**9).execution == free.execution
        assert len(tried) == again, execution


def test_compile_on_compiles_short_and_slow_runs(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Execution] = []
    monkeypatch.setattr(
        "descend.training.execution.candidate_timing.time_training_step", timing(tried)
    )
    choice = choose(1, compile="on", attention="fused", precision="float32")
    assert choice.execution.compiled
    assert [execution.compiled for execution in tried] == [False, True]
    assert choice.seconds_per_token[describe_execution(choice.execution)] == 2e-6
    assert choose(1, compile="on", attention="fused", precision="float32") == choice
    assert not choose(1).execution.compiled
    assert not choose(10**9).execution.compiled  # slower: only tried


def test_compile_off_never_compiles(at_rest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Execution] = []
    monkeypatch.setattr(
        "descend.training.execution.candidate_timing.time_training_step",
        timing(tried, compiled=1e-9),
    )
    assert not choose(10**9, compile="off").execution.compiled
    assert not any(execution.compiled for execution in tried)
    assert choose(10**9).execution.compiled


def refusal(**keys: object) -> str:
    with pytest.raises(ConfigError) as caught:
        choose(**keys)  # type: ignore[arg-type]
    error = caught.value
    assert all((error.location == "compile", error.actual, error.expected, error.fix))
    assert "\n" not in str(error)
    assert error.exit_code == 2
    return str(error)


def test_compile_on_without_compiler_is_refused(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descend.training.execution.backends.can_compile", lambda *_: False)
    assert "without a C++ compiler" in refusal(compile="on")
    assert choose(compile="off").execution.device == "cpu"


def test_compile_on_is_refused_where_we_never_compile(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descend.training.execution.backends.resolve_device", lambda _: "mps")
    assert "but found on with device mps" in refusal(compile="on")


def test_compile_on_a_gpu_asks_for_triton(at_rest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descend.training.execution.backends.resolve_device", lambda _: "cuda")
    monkeypatch.setattr(
        "descend.training.execution.backends.can_compile", lambda device="cpu": device == "cpu"
    )
    assert "found on without a C++ compiler and Triton" in refusal(compile="on")


def test_compile_on_with_activation_checkpointing_is_refused(at_rest: Path) -> None:
    text = refusal(compile="on", activation_checkpointing=True)
    assert "found on together with activation_checkpointing" in text


@pytest.mark.filterwarnings("ignore")
def test_compiler_failure_is_an_error_only_when_requested(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = timing([])

    def failing(execution: Execution, *_: object, **__: object) -> tuple[float, float]:
        if execution.compiled:
            raise RuntimeError("ld: cannot find\nanything")
        return original(execution)

    monkeypatch.setattr("descend.training.execution.candidate_timing.time_training_step", failing)
    assert "compiling fails (RuntimeError)" in refusal(compile="on")
    assert not choose(10**9).execution.compiled


def test_impossible_execution_is_rejected_before_loading_corpus(
    at_rest: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descend.training.execution.backends.can_compile", lambda *_: False)
    with pytest.raises(ConfigError, match=r"^compile: "):
        create_run(make_config(tiny | {"compile": "on", "corpus_dir": "nowhere"}), Path("run"))


@pytest.mark.parametrize(("given", "meant"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_compile_setting_accepts_yaml_booleans(given: object, meant: str) -> None:
    assert make_config({"compile": given}).compile == meant


FORCED = {"attention": "fused", "threads": 2, "compile": "off", "device": "cpu"}


def test_execution_text_lists_requested_settings(at_rest: Path, tiny: Tiny) -> None:
    (line,) = (
        n for n in run_notices(create_run(make_config(tiny | FORCED), Path("run"))) if "comput" in n
    )
    assert line.startswith("computing in float32, fused attention, 2 threads: about ")
    assert line.endswith("(set: device, precision, attention, compile, threads)")
    free = make_config(tiny | {"precision": "auto"})
    (line,) = (n for n in run_notices(create_run(free, Path("run"))) if "computing in" in n)
    assert "(set:" not in line
    assert len(line) <= 80


def stopped_at_once(config: Tiny, folder: Path) -> Execution:
    """The way of a run that was interrupted after its first record."""
    run = create_run(make_config(config), folder)

    def press() -> None:
        for number, _ in enumerate(run_training(run)):
            if number == 1:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        press()
    return run.plan.execution


@pytest.mark.parametrize("kernel", ["matmul", pytest.param("fused", marks=pytest.mark.slow)])
def test_requested_execution_is_stored_and_used_on_resume(
    tiny: Tiny, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, before = Path("run"), torch.get_num_threads()
    requested_config = FORCED | {"attention": kernel, "threads": before + 1, "max_steps": 9}
    execution = stopped_at_once(tiny | requested_config, folder)
    info = read_info(folder)
    assert {key: info.requested_config[key] for key in requested_config} == requested_config
    assert {key: info.resolved_config[key] for key in requested_config} == requested_config
    stored = info.execution
    assert (stored["attention"], stored["threads"], stored["compiled"]) == (
        kernel, before + 1, False,
    )  # fmt: skip
    # Neither what is quickest now nor the environment has a say.
    monkeypatch.setenv("DESCEND_THREADS", "7")
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 1.5)
    run = resume_run(folder)
    assert run.plan.execution == execution
    assert {block.attention.kernel for block in run.state.model.blocks} == {kernel}
    during = {torch.get_num_threads() for _ in run_training(run)}
    assert during == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler here")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_compile_on_applies_to_resumed_short_run(tiny: Tiny, precision: str) -> None:
    folder = Path("run")
    requested_config = tiny | {"compile": "on", "epoch": 1, "precision": precision}
    assert stopped_at_once(requested_config, folder).compiled
    assert read_info(folder).execution["compiled"] is True
    run = resume_run(folder)
    assert run.plan.execution.compiled
    assert len(list(run_training(run))) > 3

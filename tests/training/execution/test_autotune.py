"""The execution is chosen by trying, remembered, and never against what was forced."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from descend.config import make_config
from descend.errors import ConfigError, OutOfMemoryError
from descend.machine import RETUNE_AFTER_SECONDS, Execution, count_active_cores
from descend.model.cost import training_memory
from descend.model.shape import shape_from_run_config
from descend.training.execution import candidate_timing
from descend.training.execution.backends import describe_execution
from descend.training.execution.candidate_timing import TuningResult
from descend.training.loss import LossFn, can_compile, enable_compile_cache, make_loss_fn
from descend.training.memory import check_memory, memory_reduction_advice, translate_memory_errors
from descend.training.recipe import (
    choose_bpe_dropout,
    choose_epochs,
    choose_token_dropout,
    choose_vocabulary,
    choose_warmup,
)

from .small_choice import choose


def test_autotuning_selects_and_caches_fastest_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    choice = choose(batch_size=3)
    precisions = {name.split(",")[0] for name in choice.seconds_per_token}
    assert precisions in ({"float32"}, {"float32", "bfloat16"})  # the second where it is quick
    assert {name.rsplit(", ", 1)[0] for name in choice.seconds_per_token} == {
        f"{precision}, {kernel} attention"
        for precision in precisions
        for kernel in ("matmul", "fused")
    }
    fastest = min(choice.seconds_per_token, key=lambda name: choice.seconds_per_token[name])
    assert describe_execution(choice.execution) == fastest
    assert choose(batch_size=3) == choice  # times never repeat: this one was read back
    assert msgspec.json.decode(msgspec.json.encode(choice), type=TuningResult) == choice


def test_autotuning_under_contention_tries_fewer_threads_uncached(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    quiet = choose(batch_size=6)
    assert quiet.execution.threads == 2
    remembered = sorted((own_cache / "engine").iterdir())
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 1.5)
    tried = []

    def noted(execution: Execution, *rest: Any, **more: Any) -> tuple[float, float]:
        tried.append((execution.threads, more.get("sequences", 0)))
        return original(execution, *rest, **more)

    original = candidate_timing.time_training_step
    monkeypatch.setattr(candidate_timing, "time_training_step", noted)
    busy = choose(batch_size=6)
    assert {threads for threads, _ in tried} == {1, 2}
    assert describe_execution(busy.execution) in busy.seconds_per_token
    assert busy.execution.precision == quiet.execution.precision
    assert sorted((own_cache / "engine").iterdir()) == remembered


def test_slow_thread_counts_are_timed_briefly_under_contention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def crowded(execution: Execution, *rest: Any, **more: Any) -> tuple[float, float]:
        calls.append((execution.threads, more.get("sequences", 0)))
        return (1e-4 if execution.threads == 1 else 1e-2), 1e-4

    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 1.5)
    monkeypatch.setattr(candidate_timing, "time_training_step", crowded)
    choice = choose(batch_size=64, precision="float32")
    assert choice.execution.threads == 1
    assert [few for threads, few in calls if threads == 2] == [32]  # 256 tokens, eight a sequence
    assert all(threads == 1 for threads, few in calls if not few)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_autotuning_times_a_freshly_initialized_network(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []

    def noted(execution: Execution) -> LossFn:
        compute = make_loss_fn(execution)

        def computed(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
            loss, hits = compute(*given)
            losses.append(loss.item())
            return loss, hits

        return computed

    monkeypatch.setattr("descend.training.execution.candidate_timing.make_loss_fn", noted)
    choose(architecture=architecture, batch_size=11)  # of nobody else, so not remembered
    # What torch alone would start with is at 5 to 80 nats, and its products are of numbers so
    # small that processors are slow at them.
    assert losses[0] == pytest.approx(math.log(300), rel=0.05)


def test_short_run_autotuning_skips_slow_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    # To try one execution takes more than a quarter of the one step that is to be made.
    short = choose(steps=1, batch_size=10)
    assert len(short.seconds_per_token) == 1
    assert choose(steps=1, batch_size=10) == short  # read back
    long = choose(batch_size=10)
    assert len(long.seconds_per_token) > 1
    assert choose(steps=1, batch_size=10) == long


def test_autotuning_under_contention_selects_threads_first(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 1.5)
    before = set((own_cache / "engine").glob("*"))
    choice = choose(batch_size=12, precision="float32")
    (best,) = {name.rsplit(", ")[-1] for name in choice.seconds_per_token if "fused" in name}
    assert describe_execution(choice.execution).endswith(
        best
    )  # the others were tried on no other number
    (file,) = set((own_cache / "engine").glob("*")) - before
    tuning_result = msgspec.json.decode(file.read_bytes(), type=TuningResult)
    assert tuning_result.execution.threads == 2
    assert tuning_result.seconds(100, 7) > 0
    again = choose(batch_size=12, precision="float32")
    assert again.execution.attention == choice.execution.attention


def test_autotuning_retries_contended_timings_when_idle(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    before = set((own_cache / "engine").glob("*"))
    saved_contents = []
    for busy, later in (
        (1.5, 0.0),
        (1.5, 0.0),
        (0.0, 0.0),
        (0.0, 2 * RETUNE_AFTER_SECONDS),
        (0.0, 0.0),
        (1.5, 0),
    ):
        monkeypatch.setattr(
            "descend.training.execution.autotune.count_active_cores", lambda busy=busy: busy
        )
        for file in set((own_cache / "engine").glob("*")) - before:
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - later))
        choose(batch_size=7, precision="float32")
        (file,) = set((own_cache / "engine").iterdir()) - before
        saved_contents.append(file.read_bytes())
    first, second, soon, later, fifth, sixth = saved_contents
    assert first == second == soon  # all runs of a series compute alike
    assert soon != later
    assert later == fifth == sixth


def test_contended_cores_are_within_cpu_count() -> None:
    assert 0 <= count_active_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_forced_precision_is_obeyed(precision: str) -> None:
    choice = choose(precision=precision)
    assert choice.execution.precision == precision
    assert all(name.startswith(precision) for name in choice.seconds_per_token)


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="not x86")
def test_candidates_exclude_bfloat16_without_cpu_support() -> None:
    # oneDNN can be determined to forget all instructions newer than AVX2, before it is loaded.
    program = (
        "import torch, msgspec; from descend.training.execution import backends\n"
        "from descend.config import make_config\n"
        "print([w.precision for w in backends.candidate_backends(make_config({}), 'cpu')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    )  # fmt: skip
    assert "bfloat16" not in done.stdout
    assert "float32" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_unavailable_device_raises_config_error() -> None:
    with pytest.raises(ConfigError, match=r"device: expected cpu.*, but found cuda"):
        choose(device="cuda")


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler here")
@pytest.mark.filterwarnings("ignore")
def test_autotuning_compiles_only_long_runs(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr("descend.training.execution.autotune.count_active_cores", lambda: 0.0)
    size: dict[str, object] = {"batch_size": 7, "embed_dim": 64, "ff_dim": 256}
    assert not choose(steps=10, **size).execution.compiled
    long = choose(steps=10**7, **size)
    assert describe_execution(long.execution) in long.seconds_per_token
    assert any("compiled" in name for name in long.seconds_per_token)
    assert any((own_cache / "compiled").rglob("*.so")), "the code is kept with the rest"
    assert choose(steps=10**7, **size) == long
    assert not choose(steps=10, **size).execution.compiled


@pytest.mark.parametrize("own", [None, "default", "/somewhere/else"])
def test_compiled_code_cache_respects_user_directory(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path, own: str | None
) -> None:
    name = "TORCHINDUCTOR_CACHE_DIR"
    if own is None:
        monkeypatch.delenv(name, raising=False)
    else:  # torch sets its own where an optimizer was made before
        monkeypatch.setenv(name, default_cache_dir() if own == "default" else own)
    enable_compile_cache()
    expected = own if own == "/somewhere/else" else str(own_cache / "compiled")
    assert os.environ[name] == expected


def test_autotuning_skips_compilation_without_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not choose(steps=10**9, batch_size=9).execution.compiled


def test_legacy_execution_without_compiled_field_loads() -> None:
    stored = msgspec.to_builtins(choose(batch_size=3).execution)
    del stored["compiled"]
    assert not msgspec.convert(stored, Execution).compiled


def test_run_time_estimate_multiplies_steps_by_step_time() -> None:
    choice = choose(batch_size=3)
    per_token = choice.seconds_per_token[describe_execution(choice.execution)]
    assert choice.seconds(100, 7) == pytest.approx(
        7 * (100 * per_token + choice.seconds_per_update)
    )


def test_automatic_settings_scale_with_corpus_size() -> None:
    open_config = make_config({})
    sizes = [choose_vocabulary(open_config, n) for n in (10**4, 10**6, 10**7, 10**9)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 257
    assert len(set(sizes)) > 1
    # benchmarks/results/plan/recipe_runs.csv (36, 135, and 354 kB, 1.0 MB)
    measured = (36_000, 135_000, 354_000, 1_004_000)
    assert [choose_vocabulary(open_config, n) for n in measured] == [512, 512, 512, 2048]
    epochs = [choose_epochs(open_config, n) for n in (3 * 10**5, 10**6, 10**8)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[-1] == 1
    # benchmarks/results/recipe/whole_tokens.csv (135 kB to 1.1 MB)
    lengths = (15_000, 50_000, 150_000, 350_000)
    assert [choose_epochs(open_config, n) for n in lengths] == [6, 6, 6, 6]
    # Without BPE-dropout no more than were best on 40, 135 and 400 kB
    # (benchmarks/results/improve/epochs.jsonl).
    no_dropout = make_config({"bpe_dropout": 0.0})
    assert [choose_epochs(no_dropout, n) for n in lengths] == [3, 3, 3, 6]
    # benchmarks/results/recipe/small_text_epochs.jsonl (5 and 15 kB)
    assert [choose_epochs(no_dropout, n) for n in (1_300, 4_600)] == [8, 3]
    bpe_dropouts = [choose_bpe_dropout(open_config, n, 347_000) for n in (1, 2, 3, 6, 100)]
    assert bpe_dropouts == pytest.approx([0.0, 0.0, 0.12, 0.3, 0.4], abs=0.005)
    # Epochs, network, and text of benchmarks/results/plan/recipe_runs.csv
    small = make_config({"embed_dim": 192, "num_layers": 2, "num_heads": 6, "ff_dim": 768})
    assert choose_bpe_dropout(small, 7, 411_000) == pytest.approx(0.25, abs=0.01)
    smaller = make_config({"embed_dim": 128, "num_layers": 2, "num_heads": 4, "ff_dim": 512})
    assert choose_bpe_dropout(smaller, 12, 62_000) == 0.4
    assert choose_token_dropout(open_config, 100, 347_000) == 0.0
    without_merges = make_config({"tokenizer": "char"})
    assert choose_bpe_dropout(without_merges, 100, 1) == 0.0
    token_dropouts = [choose_token_dropout(without_merges, n, 1) for n in (1, 3, 5, 100)]
    assert token_dropouts[0] == 0.0
    assert token_dropouts == sorted(token_dropouts)
    assert 0 == token_dropouts[1] < token_dropouts[2] < token_dropouts[3] < 0.5
    assert choose_token_dropout(make_config({"token_dropout": 0.0}), 100, 1) == 0.0
    fixed = make_config({"vocab_size": 777, "epoch": 3, "warmup_steps": 9})
    assert choose_vocabulary(fixed, 10**9) == 777
    assert choose_epochs(fixed, 10**9) == 3
    assert choose_warmup(fixed, 1000) == 9
    assert choose_warmup(open_config, 1000) == 50


def test_oversized_model_error_names_a_setting() -> None:
    config = make_config(
        {"embed_dim": 16384, "num_heads": 128, "num_layers": 200, "ff_dim": 65536,
         "batch_size": 1024}
    )  # fmt: skip
    shape = shape_from_run_config(config, 4096)
    with pytest.raises(OutOfMemoryError, match="Set embed_dim to") as caught:
        check_memory(config, shape, "cpu")
    assert caught.value.exit_code == 1


def test_out_of_memory_fix_satisfies_memory_limit() -> None:
    config = make_config({"batch_size": 4096})
    shape = shape_from_run_config(config, 4096)
    need = training_memory(config, shape)
    advice = memory_reduction_advice(config, shape, need // 4)
    assert advice.startswith("set gradient_accumulation_steps to ")
    parts = int(advice.split()[3])
    lighter = config.model_copy(update={"gradient_accumulation_steps": parts})
    assert training_memory(lighter, shape) <= need // 4


def test_allocator_failure_raises_out_of_memory_error() -> None:
    config = make_config({})
    with pytest.raises(OutOfMemoryError, match=r"memory: .* but found no memory left") as caught:
        with translate_memory_errors(config, shape_from_run_config(config, 4096)):
            torch.empty(2**62, dtype=torch.uint8)
    assert "gradient_accumulation_steps" in str(caught.value)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        with translate_memory_errors(config, shape_from_run_config(config, 4096)):
            torch.ones(2, 3) @ torch.ones(2, 3)


def test_cache_files_are_whole(own_cache: Path) -> None:
    choose(batch_size=3)
    files = list((own_cache / "engine").iterdir())
    assert files
    assert all(f.suffix == ".json" for f in files)

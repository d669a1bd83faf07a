"""Trials on a Ray cluster: the same result as on a local worker, one error, nothing left running.

A real cluster of this machine, with its own processes: `make test-ray`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.config import make_config
from descend.data.cache_dir import cache_dir
from descend.errors import ConfigError, CorpusError, MissingDependencyError
from descend.program_trials.program_executor import run_programs
from descend.program_trials.run_program import ProgramResult, TrialRequest
from descend.trials.cached_trial import load_cached_result
from descend.trials.executor import TrialProgress, run_trials, worker_count
from descend.trials.ray_executor import RAY_ADDRESS_VARIABLE, gpu_fraction
from descend.trials.trial_spec import TrialResult, TrialSpec, make_trial_spec

PORT = 26379
"""Not Ray's usual one, on which a cluster of the developer may run."""


def make_specs(tiny: dict[str, object], *rates: float, **keys: Any) -> list[TrialSpec]:
    return [
        make_trial_spec(make_config(tiny | {"learning_rate": r} | keys), steps=6) for r in rates
    ]


def forget(*specs: TrialSpec) -> None:
    for spec in specs:
        (cache_dir() / "trials" / f"{spec.key}.json").unlink(missing_ok=True)


def but_time(result: TrialResult) -> TrialResult:
    curve = [msgspec.structs.replace(point, seconds=0.0) for point in result.curve]
    return msgspec.structs.replace(result, seconds=0.0, curve=curve)


def test_without_ray_the_extra_is_named(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, "auto")
    with pytest.raises(MissingDependencyError, match=r"pip install 'descend\[ray\]', or unset"):
        run_trials(make_specs(tiny, 0.0061))


def test_cached_trials_need_no_ray_cluster(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = make_specs(tiny, 0.0062)
    results = run_trials(specs, workers=1)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, "auto")
    assert run_trials(specs) == results
    # Without the cache it does need one.
    forget(*specs)
    with pytest.raises(MissingDependencyError):
        run_trials(specs)


def test_local_trials_do_not_use_ray(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, "auto")
    assert run_trials(make_specs(tiny, 0.0063), here=True)[0].steps == 6


@pytest.mark.slow
def test_unreachable_ray_address_raises_config_error_quickly(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    began = time.monotonic()
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "auto"):
        monkeypatch.setenv(RAY_ADDRESS_VARIABLE, address)
        with pytest.raises(
            ConfigError, match=f"{RAY_ADDRESS_VARIABLE}: .* found {address}, where no cluster"
        ):
            run_trials(make_specs(tiny, 0.0064))
    assert time.monotonic() - began < 30


@pytest.fixture(scope="module")
def head(own_cache: Path) -> Iterator[str]:
    """The address of a cluster of this machine with two cores and a GPU; ends with all its
    processes."""
    pytest.importorskip("ray")
    folder = Path("/tmp") / f"ray_{os.getpid()}"  # Ray's sockets allow no long path
    command = [sys.executable, "-m", "ray.scripts.scripts"]
    quiet = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(
        [*command, "start", "--head", "--block", f"--port={PORT}", "--num-cpus=2",
         "--num-gpus=1",  # Ray counts GPUs that are not there, too
         "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}",
         "--node-ip-address=127.0.0.1"],
        env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"127.0.0.1:{PORT}"
    try:
        for _ in range(60):
            done = subprocess.run(
                [*command, "status", f"--address={address}"],
                env=quiet, capture_output=True, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                break
            time.sleep(1)
        yield address
    finally:
        process.terminate()  # which ends the processes that it started
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_cluster(head: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The environment names it for the length of a test."""
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, head)
    yield head
    ray.shutdown()


@pytest.mark.slow
def test_ray_trial_matches_local_worker_bitwise(
    tiny: dict[str, object], on_cluster: str, monkeypatch: pytest.MonkeyPatch, text_file: Path
) -> None:
    monkeypatch.chdir(text_file.parent)  # a path as it is typed, which a machine elsewhere lacks
    specs = make_specs(tiny, 0.0065, 0.0066, 0.0067, corpus_dir=text_file.name)
    assert worker_count(specs) == 2
    progress: list[TrialProgress] = []
    there = run_trials([*specs, specs[0]], on_progress=progress.append)
    # A slow trial also says how far it is.
    ended = [(each.done, each.total) for each in progress if each.result is not None]
    assert ended == [(1, 3), (2, 3), (3, 3)]
    assert [load_cached_result(spec.key) for spec in specs] == there[:3]
    forget(*specs)
    monkeypatch.delenv(RAY_ADDRESS_VARIABLE)
    here = run_trials(specs, workers=2)
    assert [but_time(one) for one in there[:3]] == [but_time(one) for one in here]
    assert there[0].chunk_losses != there[1].chunk_losses


@pytest.mark.slow
def test_ray_executor_raises_first_error_and_cancels_others(
    tiny: dict[str, object], on_cluster: str
) -> None:
    import ray

    # One ends only when it is ended; of the other it is found out there that its text is too short.
    long = make_trial_spec(make_config(tiny), steps=1_000_000)
    fails = make_trial_spec(make_config(tiny), train_fraction=0.001)
    with pytest.raises(CorpusError, match=r"corpus_dir, on \S+: expected .*, but found 3 tokens"):
        run_trials([long, fails])
    wait_until(lambda: ray.available_resources().get("CPU") == 2)


@pytest.mark.slow
def test_a_run_there_says_how_far_it_is(tiny: dict[str, object], on_cluster: str) -> None:
    shares: list[float] = []
    spec = make_trial_spec(make_config(tiny | {"learning_rate": 0.0072}), steps=4000)
    run_trials([spec], on_progress=lambda news: shares.append(news.fraction_done))
    assert len(shares) > 1
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1.0


@pytest.mark.slow
def test_another_text_there_is_noticed(
    tiny: dict[str, object], on_cluster: str, text_file: Path, tmp_path: Path
) -> None:
    from descend.trials.ray_executor import _run_remote_trial
    from descend.trials.worker_pool import WorkerMessage, to_exception

    text = tmp_path / "text.txt"
    text.write_bytes(text_file.read_bytes())
    spec = make_specs(tiny, 0.0069, corpus_dir=str(text))[0]
    line, key = msgspec.json.encode(spec), spec.key
    import ray

    def answer() -> WorkerMessage:
        there = ray.get(ray.remote(_run_remote_trial).remote(line, key, None, ""))
        return msgspec.json.decode(there, type=WorkerMessage)

    text.unlink()
    assert isinstance(to_exception(answer().fault), CorpusError)
    text.write_bytes(text_file.read_bytes() + b"more")
    error = to_exception(answer().fault)
    assert isinstance(error, ConfigError)
    assert "rsync -a" in str(error)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal there")
def test_ctrl_c_cancels_running_ray_trials(
    tiny: dict[str, object], on_cluster: str, text_file: Path
) -> None:
    import ray

    process = subprocess.Popen(
        [sys.executable, "-m", "descend", "compare", str(text_file), "--vary",
         "learning_rate=0.001,0.002", "--embed-dim", "32", "--num-heads", "2", "--ff-dim", "32",
         "--num-seeds", "1", "--budget-unit", "steps", "--budget", "100000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        assert any(f"2 at a time on the cluster {on_cluster}" in line for line in process.stderr)
        ray.init(log_to_driver=False)
        wait_until(lambda: ray.available_resources().get("CPU", 0) == 0)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
        wait_until(lambda: ray.available_resources().get("CPU") == 2)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_until(what: Any) -> None:
    for _ in range(600):
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


@pytest.mark.slow
def test_a_cluster_of_its_own_is_one_word(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, "local")
    try:
        spec = make_specs(tiny, 0.0071)[0]
        there = run_trials([spec])[0]
        forget(spec)
        monkeypatch.delenv(RAY_ADDRESS_VARIABLE)
        assert but_time(there) == but_time(run_trials([spec])[0])
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_program_trials_on_ray_equal_those_here(
    on_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ..program_trials.programs import REGRESSION

    (tmp_path / "train.py").write_text(REGRESSION)
    monkeypatch.chdir(tmp_path)
    requests = [
        TrialRequest(["python", script, "--steps=100"], "val loss", shift=seed)
        for script, seed in (("train.py", 1), ("train.py", 2), ("missing.py", 1))
    ]
    by_index: dict[int, ProgramResult] = {}
    on_ray = run_programs(requests, None, by_index.__setitem__)
    assert [by_index[index] for index in range(3)] == on_ray
    monkeypatch.delenv(RAY_ADDRESS_VARIABLE)
    here = run_programs(requests, 2, lambda index, result: None)
    assert [result.loss for result in on_ray] == [result.loss for result in here]
    assert on_ray[0].loss != on_ray[1].loss
    assert on_ray[2].problem is not None
    assert "missing.py" in on_ray[2].problem


@pytest.mark.parametrize(
    ("requested", "num_gpus", "fraction"),
    [(None, 2, 1.0), (1, 2, 1.0), (2, 2, 1.0), (3, 2, 0.5), (5, 2, 0.3333), (8, 1, 0.125),
     (4, 0, 0.0), (None, 0, 0.0)],
)  # fmt: skip
def test_more_trials_than_gpus_share_them(
    requested: int | None, num_gpus: int, fraction: float
) -> None:
    assert gpu_fraction(requested, num_gpus) == fraction
    # Ray gives a GPU to as many tasks as fit in whole: all that are requested run at once.
    if requested and num_gpus:
        assert int(1 / gpu_fraction(requested, num_gpus)) * num_gpus >= requested


WAITS_FOR_ANOTHER = """
import os, pathlib, sys, time

own, meeting = sys.argv[1], pathlib.Path(sys.argv[2])
(meeting / own).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
for _ in range(600):
    if len(list(meeting.iterdir())) == 2:
        print("val loss 1.0")
        break
    time.sleep(0.1)
"""
"""A program that prints its loss only while another one runs at the same time."""


@pytest.mark.slow
def test_two_program_trials_share_a_gpu(
    on_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "train.py").write_text(WAITS_FOR_ANOTHER)
    monkeypatch.chdir(folder)
    requests = [
        TrialRequest(["python", "train.py", name, str(meeting)], "val loss", shift=0)
        for name in ("first", "second")
    ]
    results = run_programs(requests, 2, lambda index, result: None)
    assert [result.loss for result in results] == [1.0, 1.0]
    assert {path.read_text() for path in meeting.iterdir()} == {"0"}

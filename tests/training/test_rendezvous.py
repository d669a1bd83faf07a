"""Several real processes train one model: the same curves, whole checkpoints, clear errors."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from descend.config import make_config
from descend.data.tokenizer import load_tokenizer
from descend.errors import ConfigError, ProcessLostError
from descend.launch_environment import check_verb, is_follower, read_launch_environment
from descend.machine import Execution
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import CheckpointSaved, Step, TrainingStarted
from descend.runs.run_files import read_info
from descend.training.num_processes import (
    choose_num_processes,
    divide_execution,
    divide_threads,
    find_lost_run,
)
from descend.training.process_group import SINGLE_PROCESS, ProcessGroup, translate_lost_processes
from descend.training.step_times import StepTimes
from descend.training.time_limit import TimeLimit

MAX_LOSS_DIFFERENCE = 1e-3
"""Nats by which a step of the same run may differ between numbers of processes, in float32."""

WAIT_SECONDS = 240
STEPS = 100

Tiny = dict[str, Any]
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "OMP_NUM_THREADS",
             "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS")  # fmt: skip


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without the variables of torchrun."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def config_file(tiny: Tiny, tmp_path: Path) -> Path:
    """A run of `STEPS` steps as a file; eight sequences a step can be divided by 1, 2 and 4."""
    values = tiny | {"batch_size": 8, "max_steps": STEPS, "threads": 1, "compile": "off"}
    del values["epoch"]
    file = tmp_path / "config.toml"
    file.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    return file


def descend(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "descend", *map(str, arguments)],
        env=os.environ | environment, capture_output=True, text=True, check=False,
        timeout=WAIT_SECONDS,
    )  # fmt: skip


def torchrun(count: int, *arguments: object) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, f"--nproc-per-node={count}", *map(str, arguments)]


def losses(folder: str) -> list[float]:
    return [event.loss for event in read_events(Path(folder)) if isinstance(event, Step)]


def assert_same_curve(folder: str, other: str) -> None:
    first, second = losses(folder), losses(other)
    assert len(first) == len(second) == STEPS
    assert max(np.abs(np.subtract(first, second))) < MAX_LOSS_DIFFERENCE
    assert first[-1] < first[0] - 1  # it learned


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_curves_agree_for_one_two_and_four_processes(config_file: Path, optimizer: str) -> None:
    common = ("train", "--config", config_file, "--optimizer", optimizer)
    for count in (1, 2, 4):
        done = descend(*common, "--processes", count, "--save-dir", f"run{count}")
        assert done.returncode == 0, done.stderr
    assert_same_curve("run1", "run2")
    assert_same_curve("run1", "run4")
    assert losses("run1") != losses("run2")  # each really computed a part
    assert read_info(Path("run4")).execution["processes"] == 4


@pytest.mark.slow
def test_torchrun_trains_one_run_folder(config_file: Path) -> None:
    descend("train", "--config", config_file, "--save-dir", "alone")
    command = torchrun(2, "-m", "descend", "train", "--config", config_file)
    done = subprocess.run(
        [*command, "--save-dir", "run", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = msgspec.json.decode(done.stdout)  # printed once, by rank 0
    assert summary["finished"]
    assert_same_curve("alone", "run")
    assert sorted(p.name for p in Path().iterdir() if p.is_dir()) == ["alone", "run"]


@pytest.mark.slow
def test_micro_batches_are_averaged_over_processes(config_file: Path) -> None:
    common = ("train", "--config", config_file, "--gradient-accumulation-steps", 2)
    for count in (1, 2):
        done = descend(*common, "--processes", count, "--save-dir", f"run{count}")
        assert done.returncode == 0, done.stderr
    assert_same_curve("run1", "run2")


@pytest.mark.slow
def test_run_with_minutes_ends_in_time_on_two_processes(config_file: Path) -> None:
    began = time.monotonic()
    done = descend(
        "train", "--config", config_file, "--max-steps", 1_000_000, "--minutes", 1.5,
        "--processes", 2, "--save-dir", "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 120
    assert len(losses("run")) < 1_000_000


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "descend", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_checkpoint(folder: Path, after: int = 0) -> int:
    """Wait until the run in `folder` saved a checkpoint of a step after `after`."""
    ends = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends:
        checkpoint = latest_checkpoint(folder) if folder.exists() else None
        step = int(checkpoint.name.removeprefix("step_")) if checkpoint else 0
        if step > after:
            return step
        time.sleep(0.1)
    raise AssertionError("no checkpoint")


def children_of(process: int) -> list[int]:
    file = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in file.read_text().split()]


def followers_of(process: int) -> list[int]:
    """Return the processes below `process` that train along."""
    everyone = children_of(process)
    for child in list(everyone):
        everyone += children_of(child)
    return [p for p in everyone if b"RANK=1\0" in Path(f"/proc/{p}/environ").read_bytes()]


@pytest.fixture
def long_run(config_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Two processes in the folder `run`, which would train for a long time."""
    process = start(
        "train", "--config", config_file, "--max-steps", 100_000, "--processes", 2,
        "--save-dir", "run",
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are listed by /proc")
def test_lost_worker_ends_the_run_with_a_whole_checkpoint(
    long_run: subprocess.Popen[str], config_file: Path
) -> None:
    wait_for_checkpoint(Path("run"))
    (follower,) = followers_of(long_run.pid)
    os.kill(follower, signal.SIGKILL)
    _, error = long_run.communicate(timeout=WAIT_SECONDS)
    assert long_run.returncode == 1
    assert "expected all processes until the end of the run" in error
    assert "Fix: Resume from the last checkpoint" in error.replace("\n", " ")
    checkpoint = latest_checkpoint(Path("run"))
    assert checkpoint is not None
    step = int(checkpoint.name.removeprefix("step_"))
    resumed = start("resume", "run", "--processes", 1)  # with another number of processes
    wait_for_checkpoint(Path("run"), after=step)
    resumed.send_signal(signal.SIGINT)
    _, error = resumed.communicate(timeout=WAIT_SECONDS)
    assert resumed.returncode == 130, error
    assert "number of processes was 2 and is 1" in error.replace("\n", " ")
    starts = [e.step for e in read_events(Path("run")) if isinstance(e, TrainingStarted)]
    assert starts[0] == 0
    assert starts[-1] == step


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are listed by /proc")
def test_killed_rank_0_leaves_no_process(long_run: subprocess.Popen[str]) -> None:
    wait_for_checkpoint(Path("run"))
    (follower,) = followers_of(long_run.pid)
    os.kill(long_run.pid, signal.SIGKILL)
    ends = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{follower}").exists() and time.monotonic() < ends:
        time.sleep(0.1)
    assert not Path(f"/proc/{follower}").exists()
    assert latest_checkpoint(Path("run")) is not None


@pytest.mark.slow
def test_stopped_run_resumes_with_another_number_of_processes(config_file: Path) -> None:
    assert descend("train", "--config", config_file, "--save-dir", "alone").returncode == 0
    first = start("train", "--config", config_file, "--processes", 2, "--save-dir", "run")
    step = wait_for_checkpoint(Path("run"))
    first.send_signal(signal.SIGINT)
    _, error = first.communicate(timeout=WAIT_SECONDS)
    if first.returncode == 0:
        pytest.skip("this machine finished the run before it could be stopped")
    assert first.returncode == 130, error
    saved = [e.step for e in read_events(Path("run")) if isinstance(e, CheckpointSaved)]
    assert saved[-1] >= step
    done = descend("resume", "run", "--processes", 4)
    assert done.returncode == 0, done.stderr
    assert_same_curve("alone", "run")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are listed by /proc")
def test_elastic_restart_takes_up_the_run(config_file: Path) -> None:
    arguments = ("-m", "descend", "train", "--config", config_file, "--max-steps", 2000,
                 "--save-dir", "run")  # fmt: skip
    agent = subprocess.Popen(
        torchrun(2, "--max-restarts=1", *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    step = wait_for_checkpoint(Path("run"))
    (follower,) = followers_of(agent.pid)
    os.kill(follower, signal.SIGKILL)
    _, error = agent.communicate(timeout=WAIT_SECONDS)
    assert agent.returncode == 0, error
    events = read_events(Path("run"))
    starts = [e.step for e in events if isinstance(e, TrainingStarted)]
    assert len(starts) == 2
    assert starts[1] >= step
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 2001))


@pytest.mark.slow
def test_weights_that_differ_end_the_run(tmp_path: Path) -> None:
    code = (
        "import sys, torch, torch.distributed as dist\n"
        "from descend.training.process_group import ProcessGroup\n"
        "rank = int(sys.argv[1])\n"
        "store = dist.FileStore(sys.argv[2], 2)\n"
        "dist.init_process_group('gloo', store=store, rank=rank, world_size=2)\n"
        "group, model = ProcessGroup(rank, 2), torch.nn.Linear(3, 3)\n"
        "torch.nn.init.ones_(model.weight), torch.nn.init.zeros_(model.bias)\n"
        "group.check_same_weights(model)\n"
        "print('same')\n"
        "if rank:\n"
        "    model.weight.data[0, 0] += 1e-7\n"
        "group.check_same_weights(model)\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in both:
        output, error = process.communicate(timeout=WAIT_SECONDS)
        assert output == "same\n", error
        assert "weights that differ between processes" in error


def test_batch_size_that_processes_do_not_divide_is_refused(
    no_launcher: pytest.MonkeyPatch,
) -> None:
    config = make_config({"batch_size": 16, "num_processes": 3})
    with pytest.raises(ConfigError, match="batch_size: expected a multiple of the 3 processes"):
        choose_num_processes(config)
    assert choose_num_processes(make_config({"batch_size": 16, "processes": 4})) == 4
    assert choose_num_processes(make_config({"batch_size": 15})) == 1


def test_world_size_that_does_not_match_is_refused(no_launcher: pytest.MonkeyPatch) -> None:
    no_launcher.setenv("RANK", "0")
    no_launcher.setenv("WORLD_SIZE", "2")
    assert choose_num_processes(make_config()) == 2
    with pytest.raises(ConfigError, match=r"num_processes: expected 2.*found 4"):
        choose_num_processes(make_config({"num_processes": 4}))


def test_micro_batches_beyond_the_part_of_a_process_are_refused(
    no_launcher: pytest.MonkeyPatch,
) -> None:
    config = make_config({"batch_size": 8, "num_processes": 4, "gradient_accumulation_steps": 4})
    with pytest.raises(ConfigError, match="at most the 2 sequences of each process"):
        choose_num_processes(config)


def test_one_card_for_several_processes_is_refused(no_launcher: pytest.MonkeyPatch) -> None:
    config = make_config({"num_processes": 2, "device": "cuda:0"})
    expected = "cpu, cuda or auto" if torch.cuda.is_available() else "no CUDA graphics card"
    with pytest.raises(ConfigError, match=expected):
        choose_num_processes(config)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK: expected a whole number from 0 on, below 2, but found not"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK: expected .* below 2, but found '2'"),
        ({"WORLD_SIZE": "many", "RANK": "0"}, "WORLD_SIZE: expected a whole number from 1 on"),
    ],
)
def test_broken_launch_environment_is_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_launch_environment(variables)


def test_only_training_commands_are_shared(no_launcher: pytest.MonkeyPatch) -> None:
    check_verb("compare")
    no_launcher.setenv("RANK", "1")
    no_launcher.setenv("WORLD_SIZE", "2")
    check_verb("train")
    assert is_follower()
    with pytest.raises(ConfigError, match=r"torchrun: expected descend train or .*compare"):
        check_verb("compare")


def test_port_in_use_is_refused(no_launcher: pytest.MonkeyPatch) -> None:
    from descend.training.rendezvous import connect

    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        for name, value in {
            "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }.items():  # fmt: skip
            no_launcher.setenv(name, value)
        launch = read_launch_environment()
        assert launch is not None
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}, which another program uses"):
            connect(launch)


def test_missing_address_is_refused(no_launcher: pytest.MonkeyPatch) -> None:
    from descend.training.rendezvous import connect

    for name in ("MASTER_ADDR", "MASTER_PORT"):
        no_launcher.delenv(name, raising=False)
    launch = read_launch_environment({"RANK": "0", "WORLD_SIZE": "2"})
    assert launch is not None
    with pytest.raises(ConfigError, match="MASTER_ADDR:MASTER_PORT: expected HOST:PORT of rank 0"):
        connect(launch)


def test_restart_needs_a_named_folder(no_launcher: pytest.MonkeyPatch) -> None:
    assert find_lost_run(None) is None
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "1"}.items():
        no_launcher.setenv(name, value)
    with pytest.raises(ConfigError, match="save_dir: expected a folder in which a restart finds"):
        find_lost_run(None)
    assert find_lost_run("run") is None


def test_processes_divide_the_threads(no_launcher: pytest.MonkeyPatch) -> None:
    assert divide_threads(8, 2) == 4
    assert divide_threads(1, 2) == 1
    alone = Execution("cpu", "float32", "matmul", 2, "", "")
    shared = divide_execution(alone, 2)
    assert (shared.processes, shared.threads) == (2, 1)
    assert divide_execution(shared, 1) == alone


def test_single_process_exchanges_nothing() -> None:
    batch = np.arange(12).reshape(4, 3)
    assert SINGLE_PROCESS.select_rows(batch).tolist() == batch.tolist()
    assert ProcessGroup(1, 2).select_rows(batch).tolist() == batch[2:].tolist()
    assert SINGLE_PROCESS.mean_loss(torch.tensor(0.5), torch.tensor(3)) == (0.5, 3)
    assert SINGLE_PROCESS.agree_on_stop(None) == (None, False)
    assert SINGLE_PROCESS.agree_on_stop(None, is_pause_requested=True) == (None, True)
    both = SINGLE_PROCESS.agree_on_stop(signal.SIGINT, is_pause_requested=True)
    assert both == (signal.SIGINT, False)


def test_reading_the_clock_of_a_run_exchanges_nothing() -> None:
    exchanged: list[float] = []

    def share(seconds: float) -> float:
        exchanged.append(seconds)
        return 5.0

    limit = TimeLimit(60.0, StepTimes(1.0), 10, share=share)
    limit.start()
    assert limit.elapsed() < 5  # what the display of rank 0 reads alone
    assert not exchanged
    assert limit.shared_elapsed() == 5.0
    assert limit.state().elapsed == 5.0
    assert len(exchanged) == 2


def test_other_runtime_errors_are_not_lost_processes() -> None:
    with (
        pytest.raises(RuntimeError, match="shape mismatch"),
        translate_lost_processes(ProcessGroup(0, 2)),
    ):
        raise RuntimeError("shape mismatch")
    with pytest.raises(ProcessLostError), translate_lost_processes(ProcessGroup(0, 2)):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")


def test_followers_read_the_tokenizer_of_rank_0(trained: Path) -> None:
    from descend.data.tokenizer import parse_tokenizer

    tokenizer = load_tokenizer(trained)
    assert parse_tokenizer(tokenizer.to_bytes(), "rank 0").fingerprint == tokenizer.fingerprint

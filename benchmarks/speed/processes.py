"""Whether several processes of one thread train faster than one process of all threads.

    python benchmarks/speed/processes.py RESULTS [--rounds N] [--text TEXT] [--steps N]

Each arm is `descend train` with the default recipe (Muon) in programs of its own, from the
key press to the saved model. A round lets every arm run once, in an order that turns around
from round to round. Ratios are taken within a round. Rounds are added to RESULTS/processes.json.
Two rounds last about four minutes on two idle cores; stop other programs first.

Also measured, for docs/scaling.md: the seconds of an exchange between two processes by its size,
and of Muon's matrix products on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from descend.machine import available_cores, describe_hardware
from descend.training.muon import orthogonalize

STEPS = 60
WARMUP_STEPS = 5
"""Steps whose time does not count."""

COMMON = ("--seq-len", "128", "--device", "cpu", "--compile", "off", "--precision", "float32",
          "--epoch", "20")  # fmt: skip
"""Epochs enough for the steps of any arm on the built-in stories."""

MEGABYTES = (0.001, 1.0, 4.0, 16.0, 64.0)
REPEATS = 7

PLAIN = [sys.executable, "-m", "descend"]
NOT_SHARED = [sys.executable, __file__, "--not-shared"]


def programs(cores: int, steps: int) -> dict[str, dict[str, Any]]:
    """Return arguments of `descend train`, steps and sequences a step, by name."""
    many = ("--processes", str(cores))
    return {
        "one process": {"arguments": (), "steps": steps, "batch": 16},
        "processes": {"arguments": many, "steps": steps, "batch": 16},
        "processes, each all of Muon": {"arguments": (), "steps": steps, "batch": 16},
        "one process of one thread": {"arguments": ("--threads", "1"), "steps": steps // 2,
                                      "batch": 16},
        "processes, each a whole batch": {"arguments": many, "steps": steps // 2,
                                          "batch": 16 * cores},
    }  # fmt: skip


def train_once(name: str, program: dict[str, Any], text: str, steps: int) -> dict[str, Any]:
    """Run one arm; returns seconds of the program and of a step, and the last losses."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "train", text, "--save-dir", f"{folder}/run", "--max-steps", str(steps), *COMMON,
            "--batch-size", str(program["batch"]), *program["arguments"],
        ]  # fmt: skip
        began = time.perf_counter()
        if name == "processes, each all of Muon":
            run_without_sharing(command, available_cores())
        else:
            subprocess.run([*PLAIN, *command], check=True, capture_output=True)
        seconds = time.perf_counter() - began
        events = (Path(folder) / "run" / "events.jsonl").read_text().splitlines()
        taken = [e for e in map(json.loads, events) if e["kind"] == "step"]
    if len(taken) != steps:
        raise SystemExit(f"{name} made {len(taken)} steps instead of {steps}")
    seconds_of_steps = [e["seconds"] for e in taken[WARMUP_STEPS:]]
    return {
        "program_seconds": round(seconds, 3),
        "step_seconds": round(statistics.median(seconds_of_steps), 5),
        "tokens_per_step": program["batch"] * 128,
        "steps": steps,
        "last_loss": taken[-1]["loss"],
    }


def run_without_sharing(command: list[str], count: int) -> None:
    """Start all processes as torchrun does, none of which shares Muon's matrices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [*NOT_SHARED, *command], env=environment | {"RANK": str(rank)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for rank in range(count)
    ]  # fmt: skip
    if processes[0].wait():
        raise SystemExit("the arm that shares nothing failed")
    for process in processes[1:]:
        process.wait()


def train_without_sharing(arguments: list[str]) -> None:
    """Be `descend` whose processes each make all matrices of Muon orthogonal."""
    from descend.cli.main import main as descend_main
    from descend.training import rendezvous

    rendezvous.share_orthogonalization = lambda function, _group: function
    sys.argv = ["descend", *arguments]
    descend_main()


def measure_exchange(rank: int, store: str) -> None:
    """Print as JSON, in rank 0, the seconds of exchanges between two processes by megabytes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(store, 2), rank=rank, world_size=2
    )  # fmt: skip
    seconds: dict[str, dict[str, float]] = {"all_reduce": {}, "all_gather": {}}
    for megabytes in MEGABYTES:
        tensor = torch.randn(int(megabytes * 250_000))
        half = tensor[: len(tensor) // 2].clone()
        halves = [torch.empty_like(half) for _ in range(2)]
        exchanges = {
            "all_reduce": lambda t=tensor: dist.all_reduce(t),
            "all_gather": lambda h=half, hs=halves: dist.all_gather(hs, h),
        }
        for name, exchange in exchanges.items():
            taken = []
            for _ in range(REPEATS):
                dist.barrier()
                began = time.perf_counter()
                exchange()
                taken.append(time.perf_counter() - began)
            seconds[name][str(megabytes)] = round(statistics.median(taken), 6)
    if rank == 0:
        print(json.dumps(seconds), flush=True)
    dist.barrier()
    dist.destroy_process_group()


def exchange_seconds() -> dict[str, Any]:
    """Return what `measure_exchange` finds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--exchange", f"{folder}/store"]
        other = subprocess.Popen([*command, "1"])
        done = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
        other.wait()
    seconds: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def muon_seconds() -> dict[str, float]:
    """Return seconds to make the default network's matrices orthogonal, all and half of them."""
    torch.set_num_threads(1)
    seconds = {}
    for name, layers in (("all", 4), ("half", 2)):
        shapes = ((4 * layers, 256, 256), (layers, 1024, 256), (layers, 256, 1024))
        stacks = [torch.randn(shape) for shape in shapes]
        taken = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            for stack in stacks:
                orthogonalize(stack)
            taken.append(time.perf_counter() - began)
        seconds[name] = round(statistics.median(taken), 5)
    return seconds


def spread(ratios: list[float]) -> dict[str, float] | None:
    """Return median, least and greatest of ratios, or None before the first whole round."""
    if not ratios:
        return None
    return {
        "median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3),
        "max": round(max(ratios), 3), "rounds": len(ratios),
    }  # fmt: skip


def summarize(raw: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios within rounds that docs/scaling.md quotes; above 1: processes win."""

    def ratios(above: str, below: str, key: str, factor: float = 1.0) -> dict[str, float] | None:
        by_round = [
            {r["arm"]: r[key] for r in raw if r["round"] == number}
            for number in dict.fromkeys(r["round"] for r in raw)
        ]
        return spread([factor * r[above] / r[below] for r in by_round if {above, below} <= set(r)])

    one, many = "one process", "processes"
    return {
        "whole_program": ratios(one, many, "program_seconds"),
        "step": ratios(one, many, "step_seconds"),
        "step_gain_of_shared_muon": ratios("processes, each all of Muon", many, "step_seconds"),
        "weak_scaling_efficiency": ratios(
            "one process of one thread", "processes, each a whole batch", "step_seconds"
        ),
    }


def main() -> None:
    """Measure, and write after each program."""
    if sys.argv[1:2] == ["--not-shared"]:
        return train_without_sharing(sys.argv[2:])
    if sys.argv[1:2] == ["--exchange"]:
        return measure_exchange(int(sys.argv[3]), sys.argv[2])
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--text", default="stories")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    file = args.results / "processes.json"
    raw = json.loads(file.read_text())["raw"] if file.exists() else []
    first = 1 + max((r["round"] for r in raw), default=-1)
    runs = programs(available_cores(), args.steps)
    record = {
        "command": "python benchmarks/speed/processes.py RESULTS",
        "machine": describe_hardware("cpu"),
        "exchange_seconds": exchange_seconds(),
        "muon_seconds": muon_seconds(),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    for name in ("one process", "processes"):  # fill the caches
        train_once(name, runs[name], args.text, WARMUP_STEPS + 1)
    for number in range(first, first + args.rounds):
        order = list(runs.items())
        for name, program in order if number % 2 == 0 else reversed(order):
            result = train_once(name, program, args.text, program["steps"])
            raw.append({"round": number, "arm": name} | result)
            print(number, name, result, flush=True)
            content = record | {"raw": raw, "summary": summarize(raw)}
            file.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(summarize(raw), indent=1))
    return None


if __name__ == "__main__":
    main()

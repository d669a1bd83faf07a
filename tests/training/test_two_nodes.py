"""Two network namespaces stand for two machines: one run over a wire between them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from descend.runs.event_log import read_events
from descend.runs.events import Step

STEPS = 100
MAX_LOSS_DIFFERENCE = 1e-3
WAIT_SECONDS = 280
ADDRESSES = ("10.213.7.1", "10.213.7.2")
PORT = "29713"

Tiny = dict[str, Any]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@pytest.fixture
def nodes() -> Iterator[tuple[str, str]]:
    """Names of two namespaces, each with one end of a virtual cable and an address of its own."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the command ip")
    names = (f"descend{os.getpid() % 10000}a", f"descend{os.getpid() % 10000}b")
    made: list[str] = []
    try:
        for name in names:
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError:
                pytest.skip("network namespaces cannot be made here")
            made.append(name)
        ends = (f"{names[0]}v", f"{names[1]}v")
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, ADDRESSES, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "cable")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in made:
            ip("netns", "del", name)


def losses(folder: Path) -> list[float]:
    return [event.loss for event in read_events(folder) if isinstance(event, Step)]


def start_node(node: str, rank: int, arguments: list[str]) -> subprocess.Popen[str]:
    launcher = [
        "ip", "netns", "exec", node, sys.executable, "-m", "torch.distributed.run", "--nnodes=2",
        "--nproc-per-node=1", f"--node-rank={rank}", f"--master-addr={ADDRESSES[0]}",
        f"--master-port={PORT}", "-m", "descend",
    ]  # fmt: skip
    return subprocess.Popen(
        [*launcher, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"GLOO_SOCKET_IFNAME": "cable"},
    )  # fmt: skip


@pytest.mark.slow
def test_two_nodes_train_the_same_curve_as_one_process(
    tiny: Tiny, tmp_path: Path, nodes: tuple[str, str]
) -> None:
    values = tiny | {"batch_size": 8, "max_steps": STEPS, "threads": 1, "compile": "off"}
    del values["epoch"]
    config = tmp_path / "config.toml"
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    arguments = ["train", "--config", str(config), "--save-dir"]
    alone, run = tmp_path / "alone", tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "descend", *arguments, str(alone)],
        capture_output=True, text=True, check=False, timeout=WAIT_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    processes = [start_node(node, rank, [*arguments, str(run)]) for rank, node in enumerate(nodes)]
    try:
        outputs = [process.communicate(timeout=WAIT_SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], outputs
    first, second = losses(alone), losses(run)
    assert len(first) == len(second) == STEPS
    assert first != second  # each really computed a part
    assert max(np.abs(np.subtract(first, second))) < MAX_LOSS_DIFFERENCE

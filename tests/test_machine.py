"""Facts of the machine: the memory that a container or a job may use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from descend.machine import available_memory_bytes, free_memory_bytes

MB = 2**20
NO_LIMIT = 9223372036854771712
"""What version 1 states where there is none."""


def write_files(folder: Path, **contents: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def make_machine(place: Path, cgroup: str) -> tuple[Path, Path]:
    """`/proc` of a machine with 64 GB free, and the place of its control groups."""
    proc, groups = place / "proc", place / "groups"
    write_files(proc, meminfo=f"MemTotal: 1 kB\nMemAvailable: {64 * 1024 * 1024} kB")
    write_files(proc / "self", cgroup=cgroup)
    return proc, groups


def write_group(folder: Path, limit: object, used: int, inactive: int = 0) -> None:
    stat = f"anon 5\ninactive_file {inactive * MB}"
    write_files(folder, memory__max=limit, memory__current=used * MB, memory__stat=stat)


def write_old_group(folder: Path, limit: int, used: int) -> None:
    write_files(folder, memory__limit_in_bytes=limit, memory__usage_in_bytes=used * MB,
                memory__stat=f"total_inactive_file {100 * MB}")  # fmt: skip


@pytest.mark.parametrize(
    ("cgroup", "group"), [("0::/", ""), ("0::/jobs/7", "jobs/7"), ("0::/host/path", "")]
)
def test_available_memory_is_that_of_the_group_when_it_has_a_limit(
    tmp_path: Path, cgroup: str, group: str
) -> None:
    proc, groups = make_machine(tmp_path, cgroup)
    assert available_memory_bytes(proc, groups) == 64 * 1024 * MB
    write_group(groups / group, limit=2048 * MB, used=500, inactive=100)
    assert available_memory_bytes(proc, groups) == 1648 * MB
    write_group(groups / group, limit=100 * MB, used=500)
    assert available_memory_bytes(proc, groups) == 0
    write_group(groups / group, limit="max", used=500)
    assert available_memory_bytes(proc, groups) == 64 * 1024 * MB


def test_available_memory_is_that_of_the_narrowest_group_above(tmp_path: Path) -> None:
    proc, groups = make_machine(tmp_path, "0::/jobs/7/step")
    write_group(groups / "jobs/7/step", limit="max", used=1)
    write_group(groups / "jobs/7", limit=900 * MB, used=200)
    write_group(groups / "jobs", limit=5000 * MB, used=200)
    assert available_memory_bytes(proc, groups) == 700 * MB


def test_available_memory_heeds_groups_of_the_first_version(tmp_path: Path) -> None:
    proc, groups = make_machine(tmp_path, "9:name=systemd:/\n4:cpu,memory:/docker/a\n0::/")
    write_old_group(groups / "memory", limit=NO_LIMIT, used=9000)
    write_old_group(groups / "memory/docker/a", limit=1000 * MB, used=300)
    assert available_memory_bytes(proc, groups) == 800 * MB


@pytest.mark.parametrize("content", ["", "nonsense", "12", "-"])
def test_available_memory_is_that_of_the_machine_when_a_group_is_odd(
    tmp_path: Path, content: str
) -> None:
    proc, groups = make_machine(tmp_path, "0::/")
    write_group(groups, limit=1 * MB, used=0)
    (groups / "memory.stat").write_text(content)
    write_files(proc / "self", cgroup="odd\n:::\n0::/")
    if content:
        assert available_memory_bytes(proc, groups) == 64 * 1024 * MB
    (groups / "memory.max").unlink()
    assert available_memory_bytes(proc, groups) == 64 * 1024 * MB


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A real control group with 1 GB of memory; skips where none can be made."""
    folder = Path("/sys/fs/cgroup/memory") / f"descend-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(1024 * MB))
    except OSError as problem:
        pytest.skip(f"not run: no control group can be made ({problem.strerror})")
    yield folder
    folder.rmdir()


def test_training_is_refused_when_its_group_has_too_little_memory(
    small_group: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("The cat sleeps. " * 4000)
    procs = str(small_group / "cgroup.procs")
    program = f"""
import os
from descend.cli.main import main
open({procs!r}, "w").write(str(os.getpid()))
main()"""
    done = subprocess.run(
        [sys.executable, "-c", program, "train",
         "text.txt", "--save-dir", "run", "--tokenizer", "byte", "--embed-dim", "1024",
         "--num-layers", "8", "--ff-dim", "4096", "--num-heads", "8", "--max-steps", "1", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")},
    )  # fmt: skip
    assert done.returncode not in (0, -9), done.stderr
    error = json.loads(done.stdout.splitlines()[-1])
    assert "memory" in str(error)
    assert "Traceback" not in done.stderr


def test_free_memory_is_of_the_gpu_when_the_device_is_one() -> None:
    torch = pytest.importorskip("torch")
    main = available_memory_bytes()
    assert main is not None
    assert free_memory_bytes("cpu") == pytest.approx(main, rel=0.2)
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    before = free_memory_bytes("cuda")
    block = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    after = free_memory_bytes("cuda")
    assert before is not None
    assert after is not None
    assert before - after >= block.numel()

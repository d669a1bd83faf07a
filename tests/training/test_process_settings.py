"""What a run changes of its process ends with it."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from descend import load, machine
from descend.training.process_settings import limit_threads_to_idle_cores, restore_process_state


def has_glibc() -> bool:
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")


PROGRAM = """
import resource
from pathlib import Path
import torch
from descend.training.process_settings import restore_process_state

PIECE, PAGE = 2**25, 4096

def pages_for_a_piece_ten_times():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(PIECE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE

with restore_process_state():
    for _ in range(5):
        pages_for_a_piece_ten_times()  # until there is a place where it fits
    print(pages_for_a_piece_ten_times() / (PIECE * 4 / PAGE))
    during = resident()
print((during - resident()) / (PIECE * 4))
"""
"""Prints how often the pages of a piece that is requested ten times had to be handed out, and how
many such pieces are given back at the end. In a process of its own, whose memory is not in pieces
yet."""


@pytest.mark.skipif(not has_glibc(), reason="another C library than glibc")
def test_freed_memory_remains_in_process_until_exit() -> None:
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    ).stdout
    handed_out, given_back = map(float, output.split())
    assert handed_out < 5
    assert given_back >= 1


SHORT_PROGRAM = PROGRAM.replace("restore_process_state():", "restore_process_state(2**50):")
"""The same for a run that needs more than any machine has."""


@pytest.mark.skipif(not has_glibc(), reason="another C library than glibc")
def test_freed_memory_goes_back_to_the_system_where_it_is_short() -> None:
    assert SHORT_PROGRAM != PROGRAM
    output = subprocess.run(
        [sys.executable, "-c", SHORT_PROGRAM], check=True, capture_output=True, text=True
    ).stdout
    handed_out, given_back = map(float, output.split())
    assert handed_out > 9
    assert given_back < 0.5


def test_threads_come_back_even_after_an_error() -> None:
    before = torch.get_num_threads()

    @restore_process_state()
    def failing() -> None:
        torch.set_num_threads(before + 1)
        raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"):
        failing()
    assert torch.get_num_threads() == before


def test_limit_threads_restores_thread_count(
    monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    torch.set_num_threads(2)
    monkeypatch.setattr("descend.training.process_settings.count_idle_cores", lambda: 1)
    with limit_threads_to_idle_cores():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    pieces = load(trained).stream("a", 5, seed=1)
    assert torch.get_num_threads() == 2
    next(pieces)
    assert torch.get_num_threads() == 1
    list(pieces)
    assert torch.get_num_threads() == 2
    monkeypatch.setattr("descend.training.process_settings.count_idle_cores", lambda: 64)
    with limit_threads_to_idle_cores():
        assert torch.get_num_threads() == 2  # no more than the user gave torch


@pytest.mark.parametrize(("own", "quiet"), [(1.0, 2), (0.0, 1)])
def test_idle_cores_use_cpu_times_since_previous_call(
    monkeypatch: pytest.MonkeyPatch, own: float, quiet: int
) -> None:
    """A second in which one of two cores worked: for us, or for another program."""
    monkeypatch.setattr("descend.machine._looks", [machine._LoadSample(100.0, (0, 0), 0.0, 2)])
    monkeypatch.setattr("descend.machine._core_times", lambda: (100, 200))
    monkeypatch.setattr("descend.machine.available_cores", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("time.process_time", lambda: own)
    monkeypatch.setattr("time.monotonic", lambda: 101.0)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it watched"))
    assert machine.count_idle_cores() == quiet
    monkeypatch.setattr("descend.machine._core_times", lambda: (300, 400))
    monkeypatch.setattr("time.monotonic", lambda: 101.01)
    assert machine.count_idle_cores() == quiet, "too soon to tell anything new"

"""What a run changes of its process ends with it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from descend.training.process import process_kept

PIECE = 2**25


def pages_for_a_piece_ten_times() -> int:
    """Pages that the system had to hand out for as much memory, freed each time."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(PIECE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def has_glibc() -> bool:
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")


def resident() -> int:
    """Bytes of memory that the process occupies now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not has_glibc(), reason="another C library than glibc")
def test_what_is_freed_stays_with_the_process_until_the_end() -> None:
    with process_kept():
        for _ in range(5):
            pages_for_a_piece_ten_times()  # until there is a place where it fits
        assert pages_for_a_piece_ten_times() < 5 * PIECE * 4 / 4096
        during = resident()
    assert resident() < during - PIECE * 4


def test_threads_come_back_even_after_an_error() -> None:
    before = torch.get_num_threads()

    @process_kept()
    def failing() -> None:
        torch.set_num_threads(before + 1)
        raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"):
        failing()
    assert torch.get_num_threads() == before

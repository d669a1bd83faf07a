"""A clock that is set back and forth in mid-run changes no number, no limit, and no promise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.runs.event_log import read_events
from descend.runs.events import TrainingStarted, TrainingStopped

COMPILER = next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or COMPILER is None, reason="needs Linux and a C compiler"
)

CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)  /* seconds, from the file that CLOCK_SHIFT names */
{
    char text[32];
    long file = syscall(SYS_openat, AT_FDCWD, getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    long size = syscall(SYS_read, file, text, 31L);
    syscall(SYS_close, file);
    text[size > 0 ? size : 0] = 0;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += shift();
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec, now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
"""

YEAR = 365 * 86_400
JUMPS = (-50 * YEAR, 100 * YEAR, 0, -86_400, 86_400, 3600, -3600)


@pytest.fixture
def shifted(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose clock is off by the seconds in a file."""
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(CLOCK)
    assert COMPILER is not None
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    set_clock(tmp_path, 0)
    return os.environ | {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(tmp_path / "shift")}


def set_clock(place: Path, seconds: int) -> None:
    aside = place / "shift.new"
    aside.write_text(str(seconds))
    aside.replace(place / "shift")


def run_descend(
    words: list[str], environment: dict[str, str], meanwhile: Callable[[], None] = lambda: None
) -> str:
    """Run `descend WORDS` while `meanwhile` is called again and again; what it printed."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(0.1):
            meanwhile()

    thread = threading.Thread(target=repeat)
    thread.start()
    done = subprocess.run([sys.executable, "-m", "descend", *words], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    ended.set()
    thread.join()
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_run_is_the_same_when_the_clock_is_set_back_and_forth(
    tiny_file: Path, text_file: Path, own_folder: Path, tmp_path: Path, shifted: dict[str, str]
) -> None:
    jumps = iter(JUMPS * 1000)
    words = ["train", str(text_file), "--config", str(tiny_file), "--epoch", "3",
             "--threads", "1", "--compile", "off", "--attention", "matmul"]  # fmt: skip
    run_descend([*words, "--save-dir", "jumped"], shifted,
                lambda: set_clock(tmp_path, next(jumps)))  # fmt: skip
    run_descend([*words, "--save-dir", "clean"], dict(os.environ))
    models = [Path(name, "model.safetensors").read_bytes() for name in ("jumped", "clean")]
    assert models[0] == models[1]
    times = [e.time for e in read_events(Path("jumped"))
             if isinstance(e, TrainingStarted | TrainingStopped)]  # fmt: skip
    assert all(abs(int(t[:4]) - time.gmtime().tm_year) < 102 for t in times)
    set_clock(tmp_path, -50 * YEAR)
    assert "jumped" in run_descend(["list", "."], shifted)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [7200, -7200])
def test_time_limit_holds_when_the_clock_is_set(
    tiny_file: Path, text_file: Path, own_folder: Path, tmp_path: Path,
    shifted: dict[str, str], seconds: int,
) -> None:  # fmt: skip
    jumped = threading.Event()

    def jump() -> None:
        log = Path("run", "events.jsonl")
        if log.exists() and log.stat().st_size > 3000 and not jumped.is_set():
            jumped.set()
            set_clock(tmp_path, seconds)

    said = run_descend(
        ["train", str(text_file), "--config", str(tiny_file), "--minutes", "1.5",
         "--compile", "off", "--save-dir", "run"], shifted, jump)  # fmt: skip
    assert jumped.is_set(), "the clock was set while the run trained"
    stated = re.search(r"(\d+) s from the start to the saved model", said)
    assert stated is not None, said
    assert 20 < int(stated[1]) < 200, "neither ended by the jump nor two hours late"


def test_process_that_another_boot_began_is_another_one(monkeypatch: Any) -> None:
    from descend.web.studio.processes import is_same_process, process_age, process_birth

    birth = process_birth(os.getpid())
    assert birth is not None
    assert is_same_process(os.getpid(), birth)
    began, boot = birth.split()
    age = process_age(os.getpid(), birth)
    assert age is not None
    assert 0 < age < 86_400
    monkeypatch.setattr(time, "time", lambda: 10.0)
    assert process_age(os.getpid(), birth) == pytest.approx(age, abs=60)
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for other in (f"{began} {boot[::-1]}", began, f"{int(began) + 1} {boot}"):
        assert not is_same_process(os.getpid(), other), other
        assert process_age(os.getpid(), other) is None

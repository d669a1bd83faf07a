"""Whatever happens to the output or the terminal, the run goes on or is saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from descend.guard import LossyStream
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import Step
from descend.runs.run_files import is_finished

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals and /dev are POSIX")]


def train(text: Path, tiny_file: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "descend", "train", str(text), "--config", str(tiny_file),
            "--save-dir", "run", "--threads", "1", "--compile", "off", *more]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("where", ["closed pipe", "full disk", "no descriptor"])
def test_a_run_whose_standard_error_is_lost_is_finished(
    where: str, text_file: Path, tiny_file: Path, own_folder: Path
) -> None:
    command = train(text_file, tiny_file, "--epoch", "1")
    if where == "closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
        with pytest.raises(BrokenPipeError):  # the fault is there
            os.write(writer, b"x")
        done = subprocess.run(command, stderr=writer, stdout=subprocess.PIPE, check=False)
        os.close(writer)
    elif where == "full disk":
        with open("/dev/full", "wb", buffering=0) as full:
            with pytest.raises(OSError, match="No space"):
                full.write(b"x")
            done = subprocess.run(command, stderr=full, stdout=subprocess.PIPE, check=False)
    else:
        line = " ".join(command) + " 2>&-"
        done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert b"Validation loss" in done.stdout
    assert is_finished(Path("run"))


@pytest.mark.slow
def test_a_result_that_cannot_be_written_is_said_after_the_run_is_saved(
    text_file: Path, tiny_file: Path, own_folder: Path
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(train(text_file, tiny_file, "--epoch", "1"), stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "but found no way to write there (No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert is_finished(Path("run"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_result_is_printed_when_the_encoding_lacks_its_signs(
    encoding: str, own_folder: Path
) -> None:
    command = [sys.executable, "-m", "descend", "list", "."]
    folder = Path("\u6f22\u2192")
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": encoding},
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rb"\u6f22\u2192" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("signals", [
    [signal.SIGHUP], [signal.SIGHUP, signal.SIGHUP], [signal.SIGHUP, signal.SIGTERM],
])  # fmt: skip
def test_a_terminal_that_closes_saves_the_run(
    signals: list[signal.Signals], text_file: Path, tiny_file: Path, own_folder: Path
) -> None:
    command = train(text_file, tiny_file, "--epoch", "400")
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    signal.signal(signal.SIGHUP, before)
    events, deadline = Path("run/events.jsonl"), time.monotonic() + 200
    while not (events.exists() and events.read_bytes().count(b'"step"') > 40):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
    assert process.wait(100) in (129, 143)
    last = [r.step for r in read_events(Path("run")) if isinstance(r, Step)][-1]
    checkpoint = latest_checkpoint(Path("run"))
    assert checkpoint is not None
    assert checkpoint.name == f"step_{last}", "not a single step is lost"


def test_a_stream_that_is_lost_takes_what_is_written(own_folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w", buffering=1)
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"x")
    stream = LossyStream(broken)
    assert stream.write("line\n") == 5
    stream.flush()
    assert not stream.isatty()
    stream.writelines(["a\n", "b\n"])
    stream._stream = open("closed.txt", "w", encoding="utf-8")  # noqa: SIM115
    stream._stream.close()
    stream.write("after the end\n")
    stream.flush()
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, writer)  # what waits in the buffer is written somewhere
    os.close(devnull)
    broken.close()


def test_hanging_up_only_sets_the_wish_and_nohup_stays(stopped: Any) -> None:
    from descend.training.stop_signals import defer_stop_signals

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup themselves
    with defer_stop_signals() as wish:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert wish.signal_number == signal.SIGHUP
        signal.raise_signal(signal.SIGTERM)  # systemd sends both
        assert wish.signal_number == signal.SIGTERM
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with defer_stop_signals() as wish:
            signal.raise_signal(signal.SIGHUP)
            assert wish.signal_number is None
    finally:
        signal.signal(signal.SIGHUP, before)

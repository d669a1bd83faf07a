"""`descend chat` at a terminal: keys, commands, and what it says."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Descend = Callable[..., Any]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")


class Terminal:
    """A `descend chat` at a terminal of its own."""

    def __init__(self, model: Path) -> None:
        import pty

        self.pid, self.file = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            words = ["-m", "descend", "chat", str(model), "--seed", "1", "--max-new-tokens", "4"]
            os.execv(sys.executable, [sys.executable, *words])
        self.text, self._position = "", 0

    def read_until(self, expected: str, seconds: float = 60.0) -> str:
        """What comes next, up to `expected`."""
        ends, start = time.monotonic() + seconds, self._position
        while expected not in self.text[start:]:
            assert time.monotonic() < ends, f"{expected!r} is not in {self.text[start:]!r}"
            if select.select([self.file], [], [], 0.2)[0]:
                self.text += os.read(self.file, 4096).decode(errors="replace")
        self._position = self.text.index(expected, start) + len(expected)
        return self.text[start : self._position]

    def type(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self.file, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C once the prompt waits: Python may miss one that comes before."""
        time.sleep(1)
        self.type("\x03")

    def exit_code(self) -> int:
        """Wait for the end; the exit code."""
        try:
            while os.read(self.file, 4096):
                pass
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_chat_at_a_terminal(trained: Path) -> None:
    terminal = Terminal(trained)
    greeting = " ".join(terminal.read_until("> ").split())
    assert "Type some text and press Enter, and the model continues it." in greeting
    assert "It remembers the last 16 tokens." in greeting
    terminal.type("/help\n")
    assert "/new" in terminal.read_until("write on")
    terminal.read_until("> ")
    terminal.type("/nothing\n")
    terminal.read_until("There is no command /nothing.")
    terminal.read_until("> ")
    terminal.type("half a li")
    terminal.interrupt()
    terminal.read_until("Press Ctrl-C again to leave.")
    terminal.read_until("> ")
    terminal.type("The cat\n")  # the first Ctrl-C has cleared the line, and this one counts anew
    terminal.read_until("> ")
    terminal.interrupt()
    terminal.read_until("Press Ctrl-C again to leave.")
    terminal.read_until("> ")
    terminal.interrupt()
    assert terminal.exit_code() == 0
    assert "Traceback" not in terminal.text


def test_a_line_longer_than_the_context_is_said(descend: Descend, trained: Path) -> None:
    line = "The cat sleeps on the mat. " * 10
    done = descend("chat", trained, "--seed", "1", "--max-new-tokens", "2", stdin=line + "\n")
    assert done.code == 0
    assert "The model reads only the last 16 of them." in done.err
    short = descend("chat", trained, "--max-new-tokens", "2", stdin="The cat\n")
    assert "reads only" not in short.err


def test_text_that_begins_with_a_slash_is_a_prompt(descend: Descend, trained: Path) -> None:
    """Code does, and so may any line of a pipe."""
    lines = ["// The cat", "/tmp/cat.txt", "/cat"]
    words = ("chat", trained, "--seed", "1", "--max-new-tokens", "2", "--json")
    turns = descend(*words, stdin="\n".join(lines)).json["turns"]
    assert [turn["prompt"] for turn in turns] == lines

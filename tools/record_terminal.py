"""Record a command as a picture of a terminal.

    python tools/record_terminal.py docs/images/run.svg descend train my/texts --minutes 1

The command runs in a pseudo-terminal of 80 columns, so its output is what a person sees. What is
drawn over itself counts as it stands at the end. Not for Windows.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 80
MAX_LINES = 40
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_CONTROL = re.compile(r"\x1b\[(?!\d*(?:;\d+)*m)[0-9;?]*[A-Za-z]")
_LINE_UP, _ERASE_LINE = "\x1b[1A", "\x1b[2K"


def run_in_terminal(command: list[str]) -> str:
    """Run a command in a pseudo-terminal and return what it wrote."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    output = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        output += part
    os.close(leader)
    if process.wait():
        raise SystemExit(f"{command[0]} ended with exit code {process.returncode}")
    return output.decode("utf-8", "replace")


def settle_lines(output: str) -> list[str]:
    """Return the lines that stand at the end, after the redrawing of progress lines."""
    lines = [""]
    for part in re.split(r"(\r?\n|\r|\x1b\[1A|\x1b\[2K)", output):
        if part.endswith("\n"):
            lines.append("")
        elif part in ("\r", _ERASE_LINE):
            lines[-1] = ""
        elif part == _LINE_UP:
            lines = lines[:-1] or [""]
        else:
            lines[-1] += _CONTROL.sub("", part)
    return [line.rstrip() for line in lines]


def draw_terminal(command: list[str], lines: list[str]) -> str:
    """Draw the command and its output as an SVG that fetches no font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(f"$ {' '.join(command)}", highlight=False, markup=False)
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES // 2], "…", *lines[-MAX_LINES // 2 :]]
    for line in lines:
        console.print(Text.from_ansi(line))
    return _FONT_FACE.sub("", console.export_svg(title="descend"))


def main() -> None:
    """Record the command named on the command line."""
    target, *command = sys.argv[1:]
    lines = settle_lines(run_in_terminal(command))
    while lines and not lines[-1]:
        lines.pop()
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(draw_terminal(command, lines), encoding="utf-8")


if __name__ == "__main__":
    main()

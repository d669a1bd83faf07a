"""Standard output is for results, standard error for progress and errors."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
from rich.console import Console

from descend.cli.json_outputs import SCHEMA_VERSIONS
from descend.errors import DiskWriteError
from descend.guard import LossyStream, encode_json, make_visible, make_visible_in_json
from descend.report.text.wrapping import wrap_lines

TERMINAL_WIDTH_OF_FILES = 200
"""Columns of a table that is written to a file or a pipe."""


def protect_streams() -> None:
    """Make the loss of standard error harmless, and open what was closed at the start.

    Otherwise the next file opened would stand in the place of a closed stream, and be written to
    by whoever writes to that stream. A sign that the encoding of standard output lacks, such as an
    arrow in ASCII, is written as an escape.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = cast(TextIO, LossyStream(sys.stderr))


def silence_output() -> None:
    """Print nothing from now on, but a traceback that `DESCEND_DEBUG` asks for."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if not os.environ.get("DESCEND_DEBUG"):
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def stderr_console() -> Console:
    """Return the console on standard error; honours NO_COLOR and TERM=dumb."""
    return Console(stderr=True, highlight=False)


def print_status(text: str) -> None:
    """Print a line on standard error."""
    print(wrap_for(sys.stderr, make_visible(text)), file=sys.stderr, flush=True)


def print_start() -> None:
    """Say at a terminal that the command was understood: loading torch takes seconds."""
    if sys.stderr.isatty():
        print_status("starting …")


def print_result(text: str) -> None:
    """Print a result on standard output."""
    write_out(wrap_for(sys.stdout, make_visible(text)) + "\n")


def wrap_for(stream: TextIO, text: str) -> str:
    """Return `text` wrapped between words for a terminal, and as it is for a file or a pipe."""
    if not stream.isatty():
        return text
    return wrap_lines(text, shutil.get_terminal_size().columns)


def terminal_columns() -> int:
    """Return the width of the terminal; 80 for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 80


def print_json(command: str, value: Any) -> None:
    """Print the result of `command` as one JSON object, with the version of its schema first."""
    fields = msgspec.to_builtins(value, str_keys=True, enc_hook=_path_as_text)
    version = {"schema_version": SCHEMA_VERSIONS[command]}
    text = encode_json(version | fields).decode()
    write_out(make_visible_in_json(text) + "\n")


def print_report(command: str, value: Any, text: Callable[[], str], as_json: bool) -> None:
    """Print the result of `command`: `value` as one JSON object, or the text for a person."""
    if as_json:
        print_json(command, value)
    else:
        print_result(text())


def write_generated(text: str) -> None:
    """Write a piece of generated text as it is; on a terminal, control characters visibly.

    There the carriage returns of a text from Windows are left out: they would end no line.
    """
    write_out(make_visible(text.replace("\r", "")) if sys.stdout.isatty() else text)


def write_out(text: str) -> None:
    """Write `text` on standard output at once; `DiskWriteError` if it takes no more.

    A reader that left raises `BrokenPipeError`, as `head` does, which is no failure.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as problem:
        drop_output()
        raise DiskWriteError(
            "standard output", f"no way to write there ({problem.strerror or problem})",
            "room for the result", "send it elsewhere; what a run saved is untouched",
        ) from None  # fmt: skip


def drop_output() -> None:
    """Send what is left for standard output nowhere: at the end Python would try once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _path_as_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


class _Visible(logging.Formatter):
    """Names of files stand in warnings: a terminal must not obey them."""

    def format(self, record: logging.LogRecord) -> str:
        return make_visible(super().format(record))


class _FirstOfEach(logging.Filter):
    """A text that is prepared twice, for the plan and for its run, warns once."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        message = record.getMessage()
        is_first = message not in self.messages
        self.messages.add(message)
        return is_first


def set_up_logging(level: str) -> None:
    """Send the library's log to standard error, a line each."""
    logger = logging.getLogger("descend")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Visible("%(message)s"))
    handler.addFilter(_FirstOfEach())
    # At the handler, not the logger: the cache keeps warnings, also those that are not shown.
    handler.setLevel(level.upper())
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

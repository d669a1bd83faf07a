"""The errors a user may meet, each built from four facts.

A message reads `LOCATION: expected B, but found A. Fix: FIX.` The location is a key, a file
or a folder. The four facts stay on the exception, so that a test can hold every error to
that shape and another front end can word them differently.
"""

from __future__ import annotations

import errno
import os
import traceback

MAX_FACT = 600
"""Most characters of a fact in a message: a value of 100 kB would bury the sentence."""


def shorten(text: str, max_length: int = MAX_FACT) -> str:
    """Return `text`, its middle left out where it is longer than `max_length` characters."""
    if len(text) <= max_length:
        return text
    half = (max_length - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def format_error(location: str, actual: str, expected: str, fix: str) -> str:
    """Return the message of the four facts; a guess at what was meant stands as a question."""
    is_word = fix.split(" ")[0].isalpha()  # the name of a key keeps its spelling
    advice = (f"{fix[:1].upper()}{fix[1:]}" if is_word else fix).rstrip(".?!")
    advice = f"{advice}?" if fix.startswith("did you mean") else f"Fix: {advice}."
    return f"{location}: expected {expected}, but found {actual}. {advice}"


class DescendError(Exception):
    """Base of all errors that descend raises on purpose.

    `exit_code` is what the command line ends with: 1 for a failure of the machine or the
    run, 2 (see `UserError`) for a mistake that the user can fix.
    """

    exit_code = 1
    next_command: str | None = None
    """What to type next, where one command is the fix."""

    def __init__(self, where: str, actual: str, expected: str, what_to_do: str) -> None:
        self.location = where
        self.actual = actual
        self.expected = expected
        self.fix = what_to_do
        facts = (shorten(where), shorten(actual), shorten(expected), shorten(what_to_do))
        super().__init__(format_error(*facts))

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows for this error: a sentence instead of frames.

        With `DESCEND_DEBUG` in the environment the frames come too.
        """
        if os.environ.get("DESCEND_DEBUG"):
            return traceback.format_exception(self)
        lines = [f"{type(self).__name__}: {self}"]
        return [*lines, f"next: {self.next_command}"] if self.next_command else lines


class UserError(DescendError):
    """A mistake that the user can fix; the command line ends with exit code 2."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration key is unknown, of the wrong type, or out of range."""


class CorpusError(UserError):
    """The text cannot be used: missing, empty, unreadable, or too short."""


class TextChangedError(CorpusError):
    """The text that a run trained on is not what it was."""


class TokenizerError(UserError):
    """A vocabulary is missing, damaged, or does not fit the model."""


class RunFolderError(UserError):
    """A model folder lacks a part, or a part of it is damaged."""


class LogError(UserError):
    """A loss log holds nothing that can be read as a curve."""


class WatchError(UserError):
    """A watch was given what it cannot watch, or a folder that holds a record."""


class RunLockedError(UserError):
    """Another process is writing to this run folder."""


class MissingDependencyError(UserError):
    """An optional package is needed for this request."""


class DiskWriteError(DescendError):
    """Writing failed: the disk is full or not writable."""


class PathRefusedError(DescendError):
    """The system refuses a path: its name is too long, or its disk fails."""


class OutOfMemoryError(DescendError):
    """The model or batch does not fit into memory."""


class ProcessLostError(DescendError):
    """One of the processes that train together ended, or computes something else."""


class DivergedError(DescendError):
    """The loss is not a finite number any more."""


class SelfCheckError(DescendError):
    """This machine does not compute what the network asks for, found before the first step."""


def is_memory_error(problem: BaseException) -> bool:
    """Return whether `problem` says that the main memory is used up: in the words of Python, of the
    system, or of the CPU allocator of torch, which has no exception type of its own."""
    if isinstance(problem, OSError):
        return problem.errno == errno.ENOMEM
    if isinstance(problem, RuntimeError):
        return any(words in str(problem) for words in ("allocate memory", "Cannot allocate"))
    return isinstance(problem, MemoryError)


def path_error(problem: OSError) -> PathRefusedError:
    """Return the sentence for an `OSError` about a path."""
    name = problem.filename
    return PathRefusedError(
        os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name),
        problem.strerror or type(problem).__name__, "a path that the system opens",
        "check its name, its permissions, and its disk",
    )  # fmt: skip

"""From a file to a log: which format it is, told by what stands in it, not by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from descend.doctor.logs import hugging_face, json_lines, keras, nanogpt, table
from descend.doctor.logs.log import Log
from descend.errors import LogError

FORMATS: tuple[Callable[[str], Log | None], ...] = (
    # The strict before the lenient: each takes the text only if it is its own.
    hugging_face.parse_state,
    json_lines.parse,
    hugging_face.parse_console,
    table.parse,
    keras.parse,
    nanogpt.parse,
)

KNOWN = (
    "a CSV with a loss column, console output of nanoGPT, the Hugging Face Trainer or Keras, "
    "trainer_state.json, or JSON lines"
)
LARGEST_BYTES = 256 * 2**20
FEWEST_ENTRIES = 3
"""Losses without which there is no curve to speak of."""


def read_log(path: Path) -> Log:
    """The curve in `path`; `LogError` if there is none to be found."""
    text = _text(path)
    found: Log | None = None
    for parse in FORMATS:
        log = parse(text)
        # A header that names a loss, or a lone dictionary, may stand on top of another format.
        if log is not None and (found is None or len(log.entries) > len(found.entries)):
            found = log
        if found is not None and len(found.entries) >= FEWEST_ENTRIES:
            break
    if found is None or not found.entries:
        raise LogError(
            str(path), _first_line(text), KNOWN,
            "give the file that holds the losses, or write a CSV with the columns step and loss",
        )  # fmt: skip
    if len(found.entries) < FEWEST_ENTRIES:
        raise LogError(
            str(path), f"{len(found.entries)} loss{'es' if len(found.entries) > 1 else ''}",
            f"at least {FEWEST_ENTRIES}", "log more often, or give the whole log",
        )  # fmt: skip
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise LogError(
                str(path), f"{path.stat().st_size:,} bytes", f"a log of at most {LARGEST_BYTES:,}",
                "cut it, or keep every tenth line",
            )  # fmt: skip
        raw = path.read_bytes()
    except OSError as problem:
        raise LogError(
            str(path), str(problem.strerror or problem).lower(), "a file with losses",
            "check the path",
        ) from None  # fmt: skip
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):  # what PowerShell's > writes
        return raw.decode("utf-16", "replace")
    return raw.decode("utf-8-sig", "replace")


def _first_line(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"no losses (it begins {first[:40]!r})" if first else "an empty file"

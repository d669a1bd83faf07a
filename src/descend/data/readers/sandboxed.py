"""Foreign binary formats are parsed in a child process with limits of time and memory.

Parsers of pdf, docx, epub and parquet are large and mostly native code; a crafted or
damaged file may hang them, crash them, or make them fill the memory. In a child of our own
each of these becomes one `CorpusError`, and the parent goes on. The child writes JSON
lines: the parent takes nothing from it but strings and numbers.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from descend.data.document import Document
from descend.data.readers.decompression import read_error
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions, Source
from descend.errors import CorpusError
from descend.limited_process import ProcessLimits, import_path, limit_process

SandboxedReader = Callable[[Source, str, ReadOptions], Iterator[Document]]

# format -> module and function; looked up by name so that the parent imports none of them.
_READERS: dict[str, tuple[str, str]] = {
    "pdf": ("descend.data.readers.pdf", "read_pdf"),
    "docx": ("descend.data.readers.docx", "read_docx"),
    "epub": ("descend.data.readers.epub", "read_epub"),
    "parquet": ("descend.data.readers.parquet", "read_parquet"),
    "arrow": ("descend.data.readers.parquet", "read_arrow"),
    "odt": ("descend.data.readers.odt", "read_odt"),
    "rtf": ("descend.data.readers.rtf", "read_rtf"),
    "eml": ("descend.data.readers.mail", "read_eml"),
    "mbox": ("descend.data.readers.mail", "read_mbox"),
    "ipynb": ("descend.data.readers.notebook", "read_ipynb"),
    "zip": ("descend.data.readers.members", "read_zip"),
    "tar": ("descend.data.readers.members", "read_tar"),
}
# The longest line taken from a child: a part of a document with every character escaped.
_LINE_BYTES = 1 << 25
# On a machine of many cores the threads of pyarrow alone would pass the limit of memory.
_FEW_THREADS = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
_log = logging.getLogger("descend")

_MAIN = "from descend.data.readers.sandboxed import main; main()"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one file may cost.

    `seconds_idle`: without a new piece of text; `seconds`: waited for it altogether (time in
    which the consumer works does not count); `megabytes`: memory of the child;
    `cpu_seconds`: its processor time, should the parent no longer watch; `characters`: of text.
    """

    idle_timeout_seconds: float = 60.0
    timeout_seconds: float = 600.0
    max_megabytes: int = 2048
    cpu_seconds: int = 900
    characters: int = 1 << 30


# These may be data sets of many gigabytes: only their speed is watched.
_DATA_SETS = ("parquet", "arrow", "mbox", "zip", "tar")
_UNLIMITED = SandboxLimits(
    timeout_seconds=float("inf"), max_megabytes=4096, cpu_seconds=10**7, characters=1 << 62
)


def read_sandboxed(
    kind: str,
    path: Path,
    name: str,
    limits: SandboxLimits | None = None,
    options: ReadOptions = DEFAULT_OPTIONS,
) -> Iterator[Document]:
    """Yield the documents of a file of format `kind`, parsed in a child process.

    Raises `CorpusError` if the file cannot be parsed, or if parsing it crashes or passes
    `limits`; documents before that have been yielded.
    """
    # An argument has room for few names, and only text formats hold messages.
    passed = asdict(replace(options, user_names=()))
    limits = limits or (_UNLIMITED if kind in _DATA_SETS else SandboxLimits())
    child = subprocess.Popen(  # -P: a json.py in the folder of the user must not be imported
        [sys.executable, "-P", "-c", _MAIN, kind, str(path.absolute()), name,
         str(limits.max_megabytes), str(limits.cpu_seconds), json.dumps(passed)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | _FEW_THREADS | {"PYTHONPATH": import_path()},
    )  # fmt: skip
    assert child.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue(maxsize=8)
    listener = threading.Thread(target=_listen, args=(child.stdout, lines), daemon=True)
    listener.start()
    try:
        yield from _received(kind, name, child, lines, limits)
    finally:
        child.kill()
        while listener.is_alive():  # it may be waiting for room in the queue
            try:
                lines.get(timeout=0.02)
            except queue.Empty:
                continue
        child.stdout.close()
        child.wait()


def _listen(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Pass lines on until the stream ends, which an empty line stands for."""
    while line := stream.readline(_LINE_BYTES):
        lines.put(line)
    lines.put(b"")


def _received(
    kind: str,
    name: str,
    child: subprocess.Popen[bytes],
    lines: queue.Queue[bytes],
    limits: SandboxLimits,
) -> Iterator[Document]:
    waited, characters = 0.0, 0
    while True:
        began = time.monotonic()
        patience = min(limits.idle_timeout_seconds, max(0.0, limits.timeout_seconds - waited))
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            seconds = limits.timeout_seconds if patience < limits.idle_timeout_seconds else patience
            actual = f"a {kind} file that is not read after over {seconds:g} seconds"
            raise _refused(name, kind, actual) from None
        waited += time.monotonic() - began
        message = _message(line)
        if message is None:
            code = child.wait()
            why = f"(exit {code})"
            if code == -signal.SIGABRT:  # so a library in C ends that is refused more memory
                why = f"or needs over {limits.max_megabytes} MB to read"
            raise _refused(name, kind, f"a {kind} file that crashes its reader {why}")
        if "end" in message:
            return
        if "error" in message:
            raise CorpusError(*(str(fact) for fact in message["error"]))
        if "note" in message:
            _log.warning("%s", message["note"])
            continue
        document = Document(str(message["text"]), str(message["source"]), int(message["part"]))
        characters += len(document.text)
        if characters > limits.characters:
            raise _refused(name, kind, f"over {limits.characters:,} characters of text in it")
        yield document


def _message(line: bytes) -> dict[str, Any] | None:
    """Return what the child said; None if it ended without saying so, or said what it never
    says."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.keys().isdisjoint(("end", "error", "text", "note")):
        return None
    return message


def _refused(name: str, kind: str, actual: str) -> CorpusError:
    return CorpusError(
        name, actual, f"a {kind} file of text", "convert it to plain text first or remove it"
    )


def main() -> None:
    """Run the child: `FORMAT PATH NAME MEGABYTES SECONDS OPTIONS`; documents as JSON lines."""
    kind, path, name, megabytes, seconds, options = sys.argv[1:]
    limit_process(ProcessLimits(int(megabytes), cpu_seconds=int(seconds)))
    out = sys.stdout

    def say(**message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(note=record.getMessage())

    _log.addHandler(Notes(logging.WARNING))
    try:
        reader = foreign_reader(kind)
        for document in reader(Path(path), name, ReadOptions(**json.loads(options))):
            say(text=document.text, source=document.source, part=document.part_index)
        say(end=True)
    except CorpusError as error:
        say(error=[error.location, error.actual, error.expected, error.fix])
    except OSError as error:
        refused = read_error(name, error)
        say(error=[refused.location, refused.actual, refused.expected, refused.fix])
    except MemoryError:
        refused = _refused(name, kind, f"a {kind} file that needs over {megabytes} MB to read")
        say(error=[refused.location, refused.actual, refused.expected, refused.fix])
    except Exception as error:  # whatever a parser raises: it is not readable
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        refused = _refused(name, kind, f"a damaged {kind} file ({reason})")
        say(error=[refused.location, refused.actual, refused.expected, refused.fix])


def foreign_reader(kind: str) -> SandboxedReader:
    """Return the parser of a format; for the child alone."""
    module, function = _READERS[kind]
    reader: SandboxedReader = getattr(import_module(module), function)
    return reader

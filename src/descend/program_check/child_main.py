"""The child of `child_process`: checks one program and writes down what it comes to."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import msgspec

from descend.program_check.bug_report import Checked, ProgramEndedError, ProgramError
from descend.program_check.child_process import STARTED, ChildReply, ChildRequest

WATCH_SECONDS = 1.0


def main(request_file: str) -> None:
    """Do what `request_file` asks for and end the process, whatever the program left running."""
    request = msgspec.json.decode(Path(request_file).read_bytes(), type=ChildRequest)
    _end_with(request.parent)
    _limit_memory(request.max_memory_bytes)
    reply_file = Path(request.reply)
    _write(reply_file, ChildReply(stage=STARTED))
    from descend.program_check.run_checks import check_module

    def report(checked: Checked) -> None:
        stage = f"{next_bug(checked)} was looked for"
        _write(reply_file, ChildReply(checked=checked, stage=stage))

    _write(reply_file, ChildReply())
    try:
        checked = check_module(request.spec, request.arguments, report)
        reply = ChildReply(checked=checked, is_final=True)
    except ProgramError as error:
        facts = [error.location, error.actual, error.expected, error.fix]
        reply = ChildReply(error=facts, has_ended=isinstance(error, ProgramEndedError))
    _write(reply_file, reply)
    sys.stdout.flush()
    os._exit(0)  # without the program's `atexit`, and without waiting for its threads


def next_bug(checked: Checked) -> str:
    """Return the first bug that is still to be looked for."""
    from descend.program_check.child_process import NOT_REACHED

    return next((n.bug for n in checked.not_checked if n.why == NOT_REACHED), "the last bug")


def _write(path: Path, reply: ChildReply) -> None:
    """Replace the reply as a whole: the child may be ended at any moment."""
    aside = path.with_suffix(".new")
    aside.write_bytes(msgspec.json.encode(reply))
    aside.replace(path)


def _end_with(parent: int) -> None:
    """End this process soon after its parent ended, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit_memory(max_bytes: int) -> None:
    """Let memory beyond this fail to be had, where the system can do that.

    Limited are writable private mappings: the address space that CUDA reserves does not count.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, max_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError):  # a lower limit is set already, or none can be (macOS)
        return


if __name__ == "__main__":
    main(sys.argv[1])

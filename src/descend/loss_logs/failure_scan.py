"""Whether a log ends with a run that broke off: by an error, a signal, or by hand.

Only what stands below the last loss counts: a run that went on has dealt with it. Sources of the
messages: PyTorch, JAX, TensorFlow, NCCL, fairseq, Lightning, torchrun, Slurm, PBS, and bash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from descend.loss_logs.log import BreakOff, BreakOffKind

MAX_MESSAGE_CHARS = 160
_CAUSES, _CONSEQUENCES, _SIGNALS, _ANY_ERROR = range(4)
"""A cause counts before what follows from it: where one process runs out of memory, the others
report their connection, and the launcher ends them by a signal and an error of its own."""

_BY_SHELL = r"^(?:\[\d+\][+-]?\s+)?(?:\S+: )*(?:line \d+: *)?(?:\d+ )?"
"""What a shell prints in front of how a program ended: `./run.sh: line 3: 12345 Killed`."""
_SIGNS: tuple[tuple[int, BreakOffKind, str], ...] = (
    (_CAUSES, "accelerator memory",
     r"(?:CUDA|HIP|MPS backend|XPU) out of memory|\bOutOfMemoryError\b|CUDA_ERROR_OUT_OF_MEMORY"
     r"|cudaErrorMemoryAllocation|STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED|\bResourceExhaustedError"
     r"|\bOOM when allocating|kIOGPUCommandBufferCallbackErrorOutOfMemory"),
    (_CAUSES, "shared memory", r"insufficient shared memory|\bBus error"),
    (_CAUSES, "memory",
     _BY_SHELL + r"(?:K|(?<=zsh: )k)illed(?:\s{2,}|$)|\bMemoryError\b|DefaultCPUAllocator: "
     r"|\b[Cc]annot allocate memory|\boom[-_ ]kill|\b[Oo]ut [Oo]f [Mm]emory handler"
     r"|\bOUT_OF_MEMORY\b|signal: Killed|\bSIGKILL\b|exitcode *: *-9\b|exit code:? 137\b"
     r"|\bstd::bad_alloc\b"),
    (_CAUSES, "disk", r"No space left on device|Disk quota exceeded|\bENOSPC\b"
     r"|PytorchStreamWriter failed writing"),
    (_CAUSES, "accelerator",
     r"\b(?:CUDA|HIP) error\b|device-side assert|CUDA_ERROR_(?!OUT_OF_MEMORY)\w+|\bcuDNN error"
     r"|_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED)|\bNVRM: Xid\b"
     r"|uncorrectable ECC|fallen off the bus"),
    (_CAUSES, "not a number",
     r"\bFloatingPointError\b|[Ll]oss is (?:nan|inf)\w*[,;:]? (?:stop|abort|exit)"
     r"|\bdiverged with loss = (?:[Nn]a[Nn]|[Ii]nf)\b"
     r"|returned nan values in its|(?:Error|Exception)(?=:.*(?:[Ll]oss|[Gg]rad|logit|probabilit|"
     r"[Oo]utput|[Aa]ctivation)).*\b(?:[Nn]a[Nn]s?|[Ii]nf|[Ii]nfinite|[Nn]on-?finite|not finite)"
     r"\b"),
    (_CAUSES, "exploded",
     r"\b[Ll]oss (?:is |has )?(?:explod|diverg)\w*\W+(?:\w+ )?(?:abort|stop|exit|terminat|quit)"),
    (_CONSEQUENCES, "communication",
     r"\bNCCL\b.*(?:error|timeout|timed out|failed|abort)|\bnccl\w*Error\b|collective operation "
     r"timeout|\bConnection (?:reset|closed|refused) by peer|\bGloo\b.*(?:fail|error|timed? ?out)"
     r"|\bDistStoreError\b"),
    (_SIGNALS, "interrupted", r"\bKeyboardInterrupt\b|^\^C|[Ee]xiting from training early"),
    (_SIGNALS, "stopped",
     r"DUE TO (?:TIME LIMIT|PREEMPTION|NODE FAILURE)|\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED"
     r"|job killed: (?:walltime|vmem|mem)|TERM_(?:RUNLIMIT|MEMLIMIT|OWNER|ADMIN|PREEMPT)"
     rf"|{_BY_SHELL}(?:Terminated|Hangup|(?<=zsh: )(?:terminated|hangup))(?:\s{{2,}}|$)"
     r"|got signal: \d+|[Rr]eceived (?:signal )?SIG(?:TERM|HUP|USR\d|INT)\b|\bSIGTERM received"
     r"|\b(?:preempted|[Pp]reemption notice)\b"),
    (_ANY_ERROR, "error",
     r"\b[Ss]egmentation fault|\(core dumped\)|^Fatal Python error|^terminate called|^Aborted$"),
)  # fmt: skip
_PATTERNS = tuple((rank, kind, re.compile(sign)) for rank, kind, sign in _SIGNS)
_HINTS = (
    "rror", "xception", "emory", "MEMORY", "OOM", "oom", "illed", "EXHAUSTED", "bad_alloc", "SIG",
    "signal", "CANCELLED", "DUE TO", "TERM_", "Terminated", "angup", "nterrupt", "^C", "exit",
    "early", "No space", "quota", "ENOSPC", "failed", "assert", "ECC", "bus", "Xid", "STATUS",
    "loss is", "Loss is", "nan values", "explod", "diverg", "NCCL", "nccl", "imeout", "onnection",
    "Gloo",
    "Traceback", "reempt", "fault", "core dumped", "terminate", "Aborted", "ignored", "train_",
    "reached", "raining",
)  # fmt: skip
"""What a line holds that any pattern here matches: looked for first, since it is fast."""
_HARMLESS = re.compile(r"not a failure|closing signal|[Ee]xception ignored|--- Logging error")
"""Lines on what does not end a run."""
_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w{3,}|error|timeout)(?:: |:?$)")
"""The line that ends a traceback, with the name of the error in front."""
_MESSAGE_VALUE = re.compile(r"^\w+ ?= ?[{\[(]|\btensor\(")
"""A value that the message of an error shows in a line of its own: its losses are no row of the
log, and training has not gone on."""
_COMPLETE = re.compile(
    r"['\"]train_runtime['\"]|\bmax_(?:epochs|steps|time)=\S+ reached"
    r"|\b[Tt]raining (?:is |has |was )?(?:complete|completed|finished|done|ended)\b(?! for| of)"
    r"|\b(?:[Ff]inished|[Dd]one|[Cc]ompleted) training\b(?! (?:of |for )?(?:epoch|step|batch))"
)
"""How programs say that a training has come to its end."""
_BAR = re.compile(r"(?<!\d)(\d{1,12})/(\d{1,12}) ?\[\d+:\d")
_OF_EPOCH = re.compile(r"^\W*epoch\b", re.IGNORECASE)
MAX_ROWS_SINCE = 3
"""Rows with a loss since the bar of the run was drawn: one of training, and those of an
evaluation."""
MAX_TRACEBACK_LINES = 200
"""Lines of a traceback within which its error is looked for."""


@dataclass
class _Bar:
    """How far a progress bar is, and how it goes on."""

    done: int = 0
    rows: int = 0
    """Rows with a loss when it was drawn last."""
    counts_rows: bool = False
    """Whether it has gone on from one loss to the next."""
    begins_anew: bool = False

    def update(self, done: int, rows: int) -> None:
        """Take the bar as it is drawn after so many rows with a loss."""
        self.begins_anew |= done < self.done
        self.counts_rows |= 0 < self.done < done and 0 < self.rows < rows
        self.done, self.rows = done, rows


@dataclass
class FailureScan:
    """What the lines below the last loss say of the end of the run."""

    break_off: BreakOff | None = None
    is_complete: bool = False
    _rank: int = _ANY_ERROR
    _rows: int = 0
    """Rows with a loss when the last line was read."""
    _traceback_lines: int = 0
    """Lines that the error of the traceback above may still be in."""
    _ends_traceback: bool = False
    """Whether the line above is the message of an error, which may go on."""
    _ignores_error: bool = False
    _bars: dict[int, _Bar] = field(default_factory=dict)
    """Progress bars by what they count up to."""

    def read(self, text: str, rows: int) -> None:
        """Take the next line; `rows`: how many rows with a loss the log has up to it.

        A JSON line may hold a whole traceback.
        """
        parts = text.split("\\n") if "\\n" in text and _TRACEBACK in text else [text]
        for part in parts:
            self._read_line(part.strip(' "}'), rows)

    def _read_line(self, line: str, rows: int) -> None:
        goes_on = self._ends_traceback and _MESSAGE_VALUE.search(line) is not None
        self._ends_traceback = goes_on
        if goes_on:
            self._rows = rows
        elif rows > self._rows:
            self._rows, self.break_off, self.is_complete = rows, None, False
        if "/" in line and "[" in line and not _OF_EPOCH.match(line):
            for bar in _BAR.finditer(line):
                self._bars.setdefault(int(bar[2]), _Bar()).update(int(bar[1]), self._rows)
        self._traceback_lines -= self._traceback_lines > 0
        if not self._traceback_lines and not any(hint in line for hint in _HINTS):
            return
        if _COMPLETE.search(line):
            self.is_complete = True
        if _HARMLESS.search(line):
            self._ignores_error = "gnored" in line or "Logging" in line
        elif _TRACEBACK in line:
            self._traceback_lines = MAX_TRACEBACK_LINES
            if not self._ignores_error and self.break_off is None:
                self._note(_ANY_ERROR, "error", line[line.index(_TRACEBACK) :])
        else:
            self._read_error(line)

    def _read_error(self, line: str) -> None:
        ends_traceback = bool(self._traceback_lines) and _EXCEPTION.match(line) is not None
        if ends_traceback:
            self._traceback_lines, self._ends_traceback = 0, True
            if self._ignores_error:
                self._ignores_error = False
                return
        for rank, kind, pattern in _PATTERNS:
            if pattern.search(line):
                self._note(rank, kind, line)
                return
        if ends_traceback:
            self._note(_ANY_ERROR, "error", line)

    def _note(self, rank: int, kind: BreakOffKind, line: str) -> None:
        """Note what ended the run, unless a likelier cause is known."""
        is_open = self.break_off is None or _TRACEBACK in self.break_off.message
        if not is_open and rank >= self._rank:
            return
        total = self._total_of_run()
        bar = None if total is None else self._bars[total]
        self._rank = rank
        self.break_off = BreakOff(
            kind=kind, message=_shorten(line), done=None if bar is None else bar.done, total=total,
            is_after_end=self.is_complete or (
                bar is not None and bar.counts_rows and bar.done == total
            ),
        )  # fmt: skip

    def _total_of_run(self) -> int | None:
        """Return what the bar of the run counts up to; None where there is none.

        That bar goes on beside the losses. One of a download was drawn before them, and one of an
        evaluation begins anew each time, or has ended.
        """
        return max(
            (total for total, bar in self._bars.items()
             if bar.rows >= max(1, self._rows - MAX_ROWS_SINCE) and not bar.begins_anew
             and (bar.counts_rows or bar.done < total)),
            default=None,
        )  # fmt: skip


def _shorten(line: str) -> str:
    """Return a line without signs that cannot be printed, cut where it is long."""
    text = "".join(c for c in " ".join(line.split()) if c.isprintable())
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"

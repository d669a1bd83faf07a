"""What a foreign loss log comes down to: entries in order, as far as the log names them."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

LogUnit = Literal["steps", "epochs", "entries"]
"""What `LogEntry.position` counts: entries, where the log names neither steps nor epochs."""

Objective = Literal[
    "preference", "reward", "masked tokens", "diffusion", "classification", "speech", "contrastive",
    "no cross-entropy", "low from the start", "two classes", "adversarial",
]  # fmt: skip
"""Losses that are not a language model's next-token loss."""


BreakOffKind = Literal[
    "accelerator memory", "shared memory", "memory", "disk", "accelerator", "not a number",
    "exploded", "communication", "interrupted", "stopped", "error",
]  # fmt: skip
"""What ended a run before its end: `interrupted` by hand, `stopped` by a limit or a signal."""


class BreakOff(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run that broke off, as the lines below its last loss tell."""

    kind: BreakOffKind
    message: str
    """The line of the log that tells, cut where it is long."""
    done: int | None = None
    """How far the progress bar of the run was; None where there is none."""
    total: int | None = None
    """What that bar counts up to."""
    is_after_end: bool = False
    """Whether the training itself had come to its end before."""


class RunLosses(msgspec.Struct, frozen=True):
    """The first and the last training loss of a run."""

    first: float
    last: float


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A number of reinforcement learning over the run, such as the reward."""

    name: str
    counter: str
    """What the places count, such as timesteps."""
    values: list[tuple[float, float]]
    """Place and value."""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line's worth. Losses in nats per token, as logged; they may be not-a-number here."""

    position: float
    train_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None


def finite_losses(entries: list[LogEntry], name: str) -> list[tuple[float, float]]:
    """Return places and losses that are numbers."""
    pairs = [(e.position, getattr(e, name)) for e in entries]
    return [(at, loss) for at, loss in pairs if loss is not None and math.isfinite(loss)]


class EpochSums(msgspec.Struct, frozen=True, kw_only=True):
    """Training losses that were added up within each epoch."""

    epochs: int
    first: float
    """The sum of the first epoch."""
    last: float
    """The sum at the same place of the last epoch that reaches so far."""


class LossLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log as read. `skipped`: lines that hold no loss, which is no fault."""

    kind: str
    unit: LogUnit
    entries: list[LogEntry]
    skipped: int = 0
    objective: Objective | None = None
    """Of another loss than a language model's; None where nothing speaks for one."""
    objective_evidence: str = ""
    adam: bool = False
    """Whether the format is of a program that trains with AdamW by default."""
    bits: bool = False
    """Whether losses are in bits: the logged perplexity is 2 to their power, as in fairseq."""
    bits_evidence: str = "as their perplexities show"
    has_other_validation_unit: bool = False
    """Whether only one of training and validation is in bits for a character or a byte, or a sum,
    so that the two do not compare."""
    epoch_starts: list[float] = msgspec.field(default_factory=list)
    """Places at which an epoch begins, where the log tells."""
    has_epochs: bool = False
    """Whether its lines name epochs, also where these tell no places."""
    has_perplexity: bool = False
    """Whether a perplexity is logged too, as of language models."""
    sums: EpochSums | None = None
    """Where training losses were logged as sums: the entries hold the differences."""
    break_off: BreakOff | None = None
    """What ended the run; None where the log ends with a loss, or with nothing of the kind."""
    earlier_runs: list[RunLosses] = msgspec.field(default_factory=list)
    """Runs in the log before the one that the entries are of."""
    lost_validations: int = 0
    """Rows whose validation loss is no number and is not in the entries."""
    last_accuracy: float | None = None
    """The last fraction of right predictions, from 0 to 1."""
    reward: Measure | None = None
    policy_kl: Measure | None = None
    """The divergence between the policies before and after an update."""
    margin: Measure | None = None
    """How much higher the preferred answer is rewarded than the other one."""
    notes: list[str] = msgspec.field(default_factory=list)

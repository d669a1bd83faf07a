"""What a check of a training program comes to. Nothing heavy is imported here."""

from __future__ import annotations

import msgspec

from descend.errors import UserError

EXIT_SOUND, EXIT_BUG, EXIT_NOT_CHECKED = 0, 1, 3
"""Exit codes of `descend check`: checks ran and found nothing, a bug, not checked. A mistake of
the user is 2 (see `UserError`)."""

CONNECT_LOSS = (
    "compute the loss from the network's output itself: without `.item()`, `.detach()`, `.data`, "
    "`numpy()`, `argmax()`, `no_grad()`, or a new tensor in between"
)
"""The fix of a loss that does not lead back to the weights."""


class ProgramError(UserError):
    """A module cannot be checked: missing, broken, or without a model."""


class ProgramEndedError(ProgramError):
    """The program ended before it could be checked: it exited, crashed, or passed a limit."""

    exit_code = EXIT_NOT_CHECKED


class BugReport(msgspec.Struct, frozen=True):
    """A bug, or something worth a remark."""

    bug: str
    evidence: str
    """Measured numbers."""
    where: str
    fix: str


class NotChecked(msgspec.Struct, frozen=True):
    """A bug that could not be looked for."""

    bug: str
    why: str
    applies: bool = True
    """False where the program has nothing that the bug is about."""


class Checked(msgspec.Struct, frozen=True):
    """The result of a check: every bug stands in one of the four lists."""

    program: str
    bugs: list[BugReport]
    remarks: list[BugReport]
    checked: list[str]
    """Bugs that were looked for and are not there."""
    not_checked: list[NotChecked]
    not_covered: list[str] = []
    """What no check looks at: parts of this program, and kinds of fault."""
    ended: str = ""
    """Why the checks did not come to their end; empty if they did."""

    @property
    def num_applied(self) -> int:
        """Number of bugs that could be looked for."""
        return len(self.bugs) + len(self.remarks) + len(self.checked)

    @property
    def is_complete(self) -> bool:
        """Whether finding nothing says something: the checks ran, and most of them applied."""
        return not self.ended and self.num_applied > sum(n.applies for n in self.not_checked)

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        if self.bugs:
            return EXIT_BUG
        return EXIT_SOUND if self.is_complete else EXIT_NOT_CHECKED

"""Errors that only the studio has, and the HTTP status of each error of descend."""

from __future__ import annotations

from descend.errors import (
    DescendError,
    DiskWriteError,
    PathRefusedError,
    RunLockedError,
    UserError,
)


class NoSuchItemError(UserError):
    """A run, a text or a page is named that is not there."""


class NotNowError(UserError):
    """What was requested does not go together with what a run is doing."""


class TooManyRequestsError(UserError):
    """More is requested at once than a small machine can do."""


def http_status(error: DescendError) -> int:
    """Return the HTTP status of `error`: 4xx for what the user can fix, 500 for the rest."""
    for kind, status in (
        (NoSuchItemError, 404), (NotNowError, 409), (RunLockedError, 409),
        (TooManyRequestsError, 429), (DiskWriteError, 507), (PathRefusedError, 422),
        (UserError, 422),
    ):  # fmt: skip
        if isinstance(error, kind):
            return status
    return 500


def error_fields(error: DescendError) -> dict[str, object]:
    """Return what a client is given of `error`: the sentence and its four facts."""
    return {"error": {
        "kind": type(error).__name__, "message": str(error), "where": error.location,
        "found": error.actual, "expected": error.expected, "fix": error.fix,
    }}  # fmt: skip

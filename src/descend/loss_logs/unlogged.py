"""Why the state of a Hugging Face Trainer holds no losses, and what would make it hold some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descend.errors import LogError

LOGGED_AT_BEST = 10
"""Steps between two losses that show the shape of all but the shortest runs."""


def unlogged_error(path: Path, min_losses: int) -> LogError:
    """Return the error for the `trainer_state.json` at `path`, whose log has too few losses."""
    state = json.loads(path.read_bytes())
    history = [row for row in state.get("log_history") or [] if isinstance(row, Mapping)]
    losses = sum("loss" in row for row in history)
    contents = "an empty log_history" if not history else (
        "a log_history without losses" if not losses else f"a log_history with {losses} losses"
    )  # fmt: skip
    interval, steps = _logging_interval(state), _steps(state)
    if interval is None or steps is None:
        fix = f"train with logging_steps={LOGGED_AT_BEST} or less, and give the trainer_state.json "
        return _error(path, contents, min_losses, fix + "of that run")
    reason = (
        f"{contents}: it logs every {interval:,} steps (logging_steps), and the run had {steps:,}"
    )
    usual = max(1, min(LOGGED_AT_BEST, steps // (2 * min_losses)))
    if interval * min_losses <= steps:
        fix = f"""train with logging_strategy="steps" and logging_steps={usual}"""
        return _error(path, f"{contents}, though the run had {steps:,} steps", min_losses, fix)
    fix = f"train with logging_steps={usual}"
    if steps < min_losses:
        fix += f" and for more than {steps:,} steps, which teach a model nothing"
    return _error(path, reason, min_losses, fix)


def _error(path: Path, reason: str, min_losses: int, fix: str) -> LogError:
    return LogError(str(path), reason, f"at least {min_losses} losses", fix)


def _logging_interval(state: Mapping[str, Any]) -> int | None:
    """Return the steps between two losses; a fraction below 1 is one of the run."""
    interval, steps = state.get("logging_steps"), _steps(state)
    if not isinstance(interval, int | float) or isinstance(interval, bool) or interval <= 0:
        return None
    if interval < 1:
        return None if steps is None else max(1, round(interval * steps))
    return int(interval)


def _steps(state: Mapping[str, Any]) -> int | None:
    """Return how many steps the run made, or was to make."""
    for name in ("global_step", "max_steps"):
        value = state.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None

"""What a folder is that is not what was requested, and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, RUN_FILE, SEARCH_FILE
from descend.errors import RunFolderError
from descend.units import quoted

RUN_EXPECTED = "the folder of a descend run"
_EXPERIMENTS = {
    COMPARISON_FILE: "a comparison",
    ATTRIBUTION_FILE: "an attribution",
    SEARCH_FILE: "a search",
}


_REFUSALS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)
"""What the system says where a file is not its reader's, or its disk or server is gone."""


def unread_file_error(path: str, problem: Exception, expected: str, fix: str) -> RunFolderError:
    """Return the error for a file that is damaged, with its `fix`; or for one that the system does
    not let be read, which says nothing of what it holds."""
    if isinstance(problem, OSError) and problem.errno in _REFUSALS:
        return RunFolderError(
            path, f"a file that cannot be read ({problem.strerror})", expected,
            "check its permissions and its disk",
        )  # fmt: skip
    return RunFolderError(path, f"a damaged file ({problem})", expected, fix)


def not_a_run_error(folder: Path, lacking: str, *, model: bool) -> RunFolderError:
    """Return the error that `folder` is no run since it has no file `lacking`.

    `model`: whether it holds a model.
    """
    if folder.is_file():
        return RunFolderError(str(folder), "a file", RUN_EXPECTED, "name the folder")
    if not folder.exists():
        return RunFolderError(str(folder), "no such folder", RUN_EXPECTED, "check the path")
    actual = f"no {lacking}"
    if model:
        actual += " beside the model"
        todo = (
            "name a run: how a model from elsewhere was trained is not known; descend generate, "
            "evaluate, and continue take it"
        )
    else:
        todo = _of_no_use(folder) or _one_within(folder, "run")
    return RunFolderError(str(folder), actual, RUN_EXPECTED, todo)


def not_a_model_error(folder: Path, lacking: str) -> RunFolderError:
    """Return the error that `folder` holds no part of a model, so no `lacking` either."""
    return RunFolderError(
        str(folder), f"no {lacking}", "the folder of a model",
        _of_no_use(folder) or _one_within(folder, "model"),
    )  # fmt: skip


def _of_no_use(folder: Path) -> str | None:
    """Return what to do with the folder of an experiment; None where it is none."""
    for name, kind in _EXPERIMENTS.items():
        if (folder / name).exists():
            return (
                f"name a run, because {kind[0].lower()}{kind[1:]} keeps no model; see it with "
                f"`descend report {quoted(folder)}`"
            )
    return None


def _one_within(folder: Path, kind: str) -> str:
    runs = sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}"))
    if runs:
        return f"name one of the {kind}s in it, such as {runs[-1]}"
    return f"name the folder of a {kind}; `descend list` shows those in models/"

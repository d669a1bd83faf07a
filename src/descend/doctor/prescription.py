"""What a diagnosis prescribes, as settings for the next run. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.doctor.diagnosis import Diagnosis, Finding
from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.folder import DIAGNOSIS, read_info
from descend.settings import without_what_follows
from descend.units import quoted

NOT_INHERITED = (
    "save_dir", "device", "precision", "attention", "compile", "threads", "log_level",
)  # fmt: skip
"""Of where and how a run is made, not of what it learns."""


def read_diagnosis(run: Path) -> Diagnosis:
    """diagnosis.json of `run`; `RunFolderError` where there is none or it is damaged."""
    try:
        return decode_json(read_regular(run / DIAGNOSIS), Diagnosis)
    except FileNotFoundError:
        raise RunFolderError(
            str(run), "no diagnosis.json", "a run that was diagnosed",
            f"run `descend diagnose {quoted(run)}` first",
        ) from None  # fmt: skip
    except (msgspec.DecodeError, OSError) as problem:
        raise RunFolderError(
            str(run / DIAGNOSIS), f"a damaged file ({problem})", "a diagnosis",
            f"run `descend diagnose {quoted(run)}` again",
        ) from None  # fmt: skip


def merged_prescription(diagnosis: Diagnosis) -> dict[str, Any]:
    """The settings of all remedies that hold together: the first cause's and what came on top."""
    keys: dict[str, Any] = {}
    for finding in holding_together(diagnosis):
        keys |= finding.prescription
    return keys


def holding_together(diagnosis: Diagnosis) -> list[Finding]:
    """The causes whose remedies hold together."""
    found: list[Finding] = []
    for finding in diagnosis.causes:
        if not finding.prescription or finding.trial is None:
            continue
        after = finding.trial.after
        if not found or (after and set(after) <= {f.cause for f in found}):
            found.append(finding)
    return found


def settings_of_run(run: Path) -> dict[str, Any]:
    """The settings that `run` was asked for; what was left open stays open."""
    info = read_info(run)
    asked = {k: v for k, v in info.config.items() if v is not None and k not in NOT_INHERITED}
    return without_what_follows(asked) | {"corpus_dir": info.resolved["corpus_dir"]}


def changed_settings(run: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """The settings that `run` was asked for, with `changes`."""
    settings = settings_of_run(run) | changes
    if "vocab_size" in changes:  # a tokenizer that was given has a size of its own
        settings.pop("vocab_path", None)
    return settings


def prescribed_settings(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings for a new run after the diagnosis of `run`, and which of them it changes.

    Raises `RunFolderError` where nothing was prescribed.
    """
    diagnosis = read_diagnosis(run)
    changes = merged_prescription(diagnosis)
    if not changes:
        said = diagnosis.causes[0].remedy if diagnosis.causes else "nothing to change"
        raise RunFolderError(
            str(run), f"a diagnosis ({diagnosis.verdict}) that prescribes no setting: {said}",
            "one that does", "follow it, or leave --apply out",
        )  # fmt: skip
    return changed_settings(run, changes), changes

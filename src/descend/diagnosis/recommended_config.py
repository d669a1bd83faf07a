"""What a diagnosis recommends, as settings for the next run. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.config_sources import drop_implied_schedule
from descend.diagnosis.diagnosis_result import Diagnosis, Finding
from descend.errors import RunFolderError
from descend.guard import decode_json
from descend.runs.record_version import check_version
from descend.runs.run_files import DIAGNOSIS, read_diagnosis, read_info
from descend.units import quoted

NOT_INHERITED = (
    "save_dir", "device", "precision", "attention", "compile", "threads", "log_level",
)  # fmt: skip
"""Of where and how a run is made, not of what it learns."""


TEACHER_LIMITS = {"tokenizer", "vocab_size", "vocab_path", "seq_len", "max_seq_len"}
"""Keys that have to fit the models that a run learns from."""


def load_diagnosis(run: Path) -> Diagnosis:
    """diagnosis.json of `run`; `RunFolderError` where there is none, or where it is damaged or of
    a newer descend."""
    try:
        content = read_diagnosis(run)
        check_version(run / DIAGNOSIS, content, Diagnosis)
        return decode_json(content, Diagnosis)
    except FileNotFoundError:
        raise RunFolderError(
            str(run), "no diagnosis.json", "a run that was diagnosed",
            f"run `descend diagnose {quoted(run)}` first",
        ) from None  # fmt: skip
    except (msgspec.DecodeError, OSError) as problem:
        raise RunFolderError(
            str(run), f"a damaged diagnosis.json ({problem})", "a diagnosis",
            f"run `descend diagnose {quoted(run)}` again",
        ) from None  # fmt: skip


def merge_recommendations(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the settings of all treatments that hold together: the first cause's and what came on
    top."""
    keys: dict[str, Any] = {}
    for finding in compatible_causes(diagnosis):
        keys |= finding.recommended_config
    return keys


def compatible_causes(diagnosis: Diagnosis) -> list[Finding]:
    """Return the causes whose treatments hold together."""
    findings: list[Finding] = []
    for finding in diagnosis.causes:
        if not finding.recommended_config or finding.trial is None:
            continue
        after = finding.trial.applied_causes
        if not findings or (after and set(after) <= {f.cause for f in findings}):
            findings.append(finding)
    return findings


def requested_run_config(run: Path) -> dict[str, Any]:
    """Return the requested settings of `run`; what was left open stays open."""
    info = read_info(run)
    requested_config = {
        k: v for k, v in info.requested_config.items() if v is not None and k not in NOT_INHERITED
    }
    return drop_implied_schedule(requested_config) | {
        "corpus_dir": info.resolved_config["corpus_dir"]
    }


def make_changed_config(run: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the requested settings of `run`, with `changes`."""
    config = requested_run_config(run) | changes
    if "vocab_size" in changes:  # a tokenizer that was given has a size of its own
        config.pop("vocab_path", None)
    if TEACHER_LIMITS & changes.keys():
        config.pop("teachers", None)
    return config


def recommended_run_config(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings for a new run after the diagnosis of `run`, and which of them it changes.

    Raises `RunFolderError` where nothing was recommended.
    """
    diagnosis = load_diagnosis(run)
    changes = merge_recommendations(diagnosis)
    if not changes:
        said = diagnosis.causes[0].advice if diagnosis.causes else "nothing to change"
        raise RunFolderError(
            str(run), f"a diagnosis ({diagnosis.verdict}) without one: {said}",
            "a diagnosis that recommends a setting", "leave --apply-fix out",
        )  # fmt: skip
    return make_changed_config(run, changes), changes

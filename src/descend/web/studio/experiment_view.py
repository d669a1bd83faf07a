"""An experiment as the page shows it: its trials as they end, effects so far, and the result."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.errors import DescendError
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.ended_trials import EndedTrial, compare_ended_trials
from descend.experiments.experiment_folder import read_record
from descend.experiments.json_output import attribution_fields, comparison_fields, search_fields
from descend.experiments.search.search_result import SearchResult
from descend.guard import decode_json, read_regular
from descend.report.text.experiment_summary import headline_comparison

MAX_TRIAL_BYTES = 2**22
MAX_TRIALS = 500
"""Trials that a page gets, the newest of them."""

ExperimentKind = Literal["compare", "search", "attribute"]
KINDS: dict[ExperimentKind, str] = {
    "compare": COMPARISON_FILE, "search": SEARCH_FILE, "attribute": ATTRIBUTION_FILE,
}  # fmt: skip
"""The file that holds the result of each kind."""


def find_kind(folder: Path) -> ExperimentKind | None:
    """Return what the finished experiment in `folder` is; None without a result."""
    return next((kind for kind, file in KINDS.items() if (folder / file).is_file()), None)


def read_trials(file: Path) -> list[EndedTrial]:
    """Return the trials that ended so far, by the lines of `file`."""
    trials: list[EndedTrial] = []
    try:
        lines = read_regular(file, MAX_TRIAL_BYTES).splitlines(keepends=True)
    except OSError:
        return trials
    for line in lines:
        if line.endswith(b"\n"):  # the last one may be on its way
            with suppress(msgspec.DecodeError):  # damaged, or in the workspace of a stranger
                trials.append(decode_json(line, EndedTrial))
    return trials


def progress_fields(file: Path) -> dict[str, Any]:
    """Return the trials of `file`, and what the arms of a comparison show so far."""
    trials = read_trials(file)
    unit, arms = compare_ended_trials(trials)
    return {
        "trials": msgspec.to_builtins(trials[-MAX_TRIALS:]), "arms": msgspec.to_builtins(arms),
        "unit": unit,
    }  # fmt: skip


def result_fields(folder: Path) -> dict[str, Any] | None:
    """Return the result in `folder`, as `--json` prints it, without curves; None without one.

    `RunFolderError` for a damaged one.
    """
    kind = find_kind(folder)
    if kind == "compare":
        comparison = read_record(folder, COMPARISON_FILE, Comparison)
        headline = {"headline": headline_comparison(comparison)}
        return _without_curves(comparison_fields(comparison)) | headline
    if kind == "attribute":
        return attribution_fields(read_record(folder, ATTRIBUTION_FILE, Attribution))
    if kind == "search":
        result = read_record(folder, SEARCH_FILE, SearchResult)
        fields = search_fields(result)
        fields["ranking"] = [trial.number for trial in result.ranking]
        if fields["confirmation"] is not None:
            fields["confirmation"] = _without_curves(fields["confirmation"])
        return fields
    return None


def describe_result(folder: Path) -> tuple[str, str]:
    """Return what the experiment in `folder` was about, and its answer; empty without a readable
    one."""
    fields = None
    with suppress(DescendError):
        fields = result_fields(folder)
    if fields is None:
        return "", ""
    if "contributions" in fields:
        title = f"{fields['a']} to {fields['b']}"
    elif "space" in fields:
        title = ", ".join(span["key"] for span in fields["space"])
    else:
        title = ", ".join(fields["varied"]) or " against ".join(a["name"] for a in fields["arms"])
    return title, str(fields["sentence"])


def _without_curves(fields: dict[str, Any]) -> dict[str, Any]:
    for arm in fields["arms"]:
        for seed in arm["seeds"]:
            del seed["curve"]
    return fields

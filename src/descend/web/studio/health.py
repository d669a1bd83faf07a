"""What is wrong with a run, if anything: from its diagnosis, or from its curve while it trains."""

from __future__ import annotations

from typing import Any

from descend.config import make_config
from descend.diagnosis.recommended_config import (
    load_diagnosis,
    make_changed_config,
    merge_recommendations,
)
from descend.errors import RunFolderError
from descend.loss_logs.run_check import CurveStep, RunCheck, check_curve
from descend.runs.run_files import RunMetadata, has_diagnosis, read_info
from descend.runs.run_length import planned_steps
from descend.units import humanize_name
from descend.web.studio.feed import RunFeed
from descend.web.studio.run_views import RunViews
from descend.web.studio.workspace import Workspace

MIN_GROWTH = 1.1
"""Times the steps of the last check, from which a run is checked again: twenty checks a tenfold."""
MAX_CHECKS = 30
"""Runs of which the last check is kept."""


class HealthChecks:
    """Checks runs of a workspace by their curves; each again only when it has grown."""

    def __init__(self, workspace: Workspace, views: RunViews) -> None:
        self._workspace, self._views = workspace, views
        self._checks: dict[str, tuple[tuple[int, int], RunCheck | None]] = {}

    def health(self, name: str) -> dict[str, Any]:
        """Return what is wrong with the run `name`, how sure that is, and which settings would fix
        it.

        `basis` is `trials` for a diagnosis, `curve` for the curve alone, None where nothing is
        known yet.
        """
        folder = self._workspace.run_folder(name)
        if has_diagnosis(folder):
            return _from_diagnosis(folder)
        check = self._check(name, read_info(folder))
        if check is None:
            return _fields(None, None, 0.0, "", "", {})
        return _fields(
            "curve", check.cause, check.probability, check.reason, check.advice,
            check.recommended_config,
        )  # fmt: skip

    def fixed_config(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return settings of a new run with what the curve of the run `name` recommends, and the
        changes.

        `RunFolderError` if it recommends nothing.
        """
        folder = self._workspace.run_folder(name)
        check = self._check(name, read_info(folder))
        if check is None or not check.recommended_config:
            raise RunFolderError(
                name, "a run whose curve recommends no setting", "one with a setting to try",
                "let the diagnosis try the likely causes",
            )  # fmt: skip
        return make_changed_config(folder, check.recommended_config), check.recommended_config

    def _check(self, name: str, metadata: RunMetadata) -> RunCheck | None:
        feed = self._views.feed(name)
        stamp = (feed.step, len(feed.epochs))
        known = self._checks.get(name)
        if known is not None:
            (step, epochs), check = known
            if epochs == stamp[1] and step <= stamp[0] < max(step + 1, MIN_GROWTH * step):
                return check
        check = _check_feed(feed, metadata)
        while len(self._checks) >= MAX_CHECKS:
            del self._checks[next(iter(self._checks))]
        self._checks[name] = (stamp, check)
        return check


def _check_feed(feed: RunFeed, metadata: RunMetadata) -> RunCheck | None:
    config = metadata.resolved_config
    planned = planned_steps(make_config(config), int(metadata.corpus["train_tokens"]))
    steps = [
        CurveStep(point[0], point[1], rate)
        for point, rate in zip(feed.points, feed.learning_rates, strict=False)
    ]
    return check_curve(
        steps, [(epoch.step, epoch.validation_loss) for epoch in feed.epochs],
        total_steps=feed.end_step or planned,
        optimizer=str(config["optimizer"]), vocab_size=int(config["vocab_size"]),
        baselines=metadata.corpus["ngram_baselines"],
    )  # fmt: skip


def _from_diagnosis(folder: Any) -> dict[str, Any]:
    diagnosis = load_diagnosis(folder)
    if not diagnosis.causes or diagnosis.verdict == "unknown":
        return _fields("trials", None, diagnosis.probability, "", "", {})
    first = diagnosis.causes[0]
    return _fields(
        "trials", first.cause, first.probability, "", first.advice,
        merge_recommendations(diagnosis),
    )  # fmt: skip


def _fields(
    basis: str | None, cause: str | None, probability: float, reason: str, advice: str,
    config: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    return {
        "basis": basis, "cause": cause, "title": cause and humanize_name(cause),
        "probability": probability, "reason": reason, "advice": advice,
        "recommended_config": config,
    }  # fmt: skip

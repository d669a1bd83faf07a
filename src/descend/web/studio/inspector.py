"""Looks into the models of a workspace; torch is loaded when the first is opened.

It has networks of its own: parts of them are switched off, which a talk must not notice.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from descend.runs.recorded_run import RecordedRun
from descend.runs.saved_weights import list_saved_weights
from descend.web.studio.http_errors import TooManyRequestsError
from descend.web.studio.workspace import Workspace

if TYPE_CHECKING:
    from descend.api import Model
    from descend.api.inspection import Inspection, Neighbor
    from descend.metrics.gradient_flow import GradientFlow

MAX_MODELS = 4
"""Models in memory at once: two side by side, and the two that the slider left last."""

MAX_WAITING = 16
"""Questions under way or waiting: a page with two models has six at most."""

MAX_GRADIENT_STEPS = 120
"""Columns of the picture of the gradients."""


class Inspector:
    """Answers about the inside of models, one at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._models: dict[tuple[str, str, int], Model] = {}
        self._busy = threading.Lock()
        self._waiting = 0

    def list_weights(self, name: str) -> dict[str, Any]:
        """Return what the run `name` kept, and how many bytes its snapshots take."""
        saved = list_saved_weights(self._workspace.run_folder(name))
        snapshot_bytes = sum(one.bytes for one in saved if one.kind == "snapshot")
        return {"weights": msgspec.to_builtins(saved), "snapshot_bytes": snapshot_bytes}

    def inspect(
        self, name: str, weights: str, text: str, layer: int | None, head: int | None
    ) -> Inspection:
        """Return what the run's model, with these weights, makes of `text`."""
        from descend.api.inspection import inspect_text
        from descend.metrics.ablation import Ablation

        ablation = None if layer is None else Ablation(layer, head)
        with _Turn(self):
            return inspect_text(self._load(name, weights), text, ablation)

    def ablations(self, name: str, weights: str, text: str) -> dict[str, Any]:
        """Return what each part of the model is worth for `text`."""
        from descend.api.inspection import measure_ablations

        with _Turn(self):
            effects = measure_ablations(self._load(name, weights), text)
        return {"effects": msgspec.to_builtins(effects)}

    def neighbors(self, name: str, weights: str, token: int) -> list[Neighbor]:
        """Return the tokens most similar to one."""
        from descend.api.inspection import find_neighbors

        with _Turn(self):
            return find_neighbors(self._load(name, weights), token)

    def gradients(self, name: str) -> GradientFlow:
        """Return the gradient that reached each layer, as the run recorded it."""
        from descend.metrics.gradient_flow import gradient_flow

        run = RecordedRun(self._workspace.run_folder(name))
        return gradient_flow(run.weight_updates, MAX_GRADIENT_STEPS)

    def _load(self, name: str, weights: str) -> Model:
        from descend.api.inspection import load_at

        folder = self._workspace.run_folder(name)
        key = (name, weights, folder.stat().st_mtime_ns)
        model = self._models.pop(key, None) or load_at(folder, weights)
        self._models[key] = model
        while len(self._models) > MAX_MODELS:
            del self._models[next(iter(self._models))]
        return model


class _Turn:
    """One question at a time; `TooManyRequestsError` if too many wait."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    def __enter__(self) -> None:
        inspector = self._inspector
        if inspector._waiting >= MAX_WAITING:
            raise TooManyRequestsError(
                "inspect", f"{inspector._waiting} questions at once", f"fewer than {MAX_WAITING}",
                "wait until one is answered",
            )  # fmt: skip
        inspector._waiting += 1
        inspector._busy.acquire()

    def __exit__(self, *_: object) -> None:
        self._inspector._busy.release()
        self._inspector._waiting -= 1

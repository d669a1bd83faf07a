"""A route with the forecast of a run: where its curve is likely to go."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from descend.runs.recorded_run import RecordedRun
from descend.runs.run_length import planned_steps
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services

NEW_AFTER = 0.1
"""Part of the run after which a new forecast is made: at most ten processes for one run."""


MAX_EPOCHS = 1000


def forecast_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["runs"])
    workspace, views, children = services.workspace, services.views, services.children

    @router.get("/runs/{name}/forecast")
    async def forecast(
        name: str, epochs: Annotated[int | None, Query(ge=1, le=MAX_EPOCHS)] = None
    ) -> Response:
        """Continue the curve of a run: expected loss on unseen text, with 80 % intervals.

        For `epochs` more of them; else as many again, or the rest of an unfinished run.
        """
        folder = workspace.run_folder(name)
        feed, run = views.feed(name), RecordedRun(folder)
        metadata = run.metadata
        total = feed.end_step or planned_steps(run.config, run.corpus_count("train_tokens"))
        stamp = (len(feed.epochs), int(feed.step / total / NEW_AFTER), feed.stopped is None)
        more = () if epochs is None else ("--epochs", str(epochs))
        answer = await children.ask("forecast", str(folder), *more, stamp=stamp)
        return as_json({
            "points": points_ahead(answer, metadata.resolved_config, metadata.corpus, total),
            "from_step": feed.step, "effect": answer["effect"], "sentence": answer["sentence"],
            "epochs": answer.get("epochs", []), "minutes": answer.get("minutes"),
        })  # fmt: skip

    return router


def points_ahead(
    forecast: dict[str, Any], config: dict[str, Any], corpus: dict[str, Any], total: int
) -> list[dict[str, float]]:
    """Return the ends of the epochs ahead by their steps, no later than `total`, with their
    intervals."""
    each = int(corpus["train_tokens"]) / (int(config["batch_size"]) * int(config["seq_len"]))
    points = [
        {
            "step": min(math.ceil(each * ahead["epoch"]), total),
            "loss": ahead["validation_loss"], "low": ahead["low"], "high": ahead["high"],
        }
        for ahead in forecast.get("epochs", [])
    ]  # fmt: skip
    return [p for n, p in enumerate(points) if not n or p["step"] > points[n - 1]["step"]]

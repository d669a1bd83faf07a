"""Routes of the course: lessons, their experiments, and one's progress."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from descend.errors import ConfigError
from descend.handbook.lesson import load_lesson, load_lessons
from descend.web.studio.http_errors import NoSuchItemError
from descend.web.studio.lesson_view import job_name
from descend.web.studio.requests import LessonRequest
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services


def lesson_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["lessons"])
    workspace, jobs, views = services.workspace, services.jobs, services.lessons

    @router.get("/lessons")
    def lessons() -> dict[str, Any]:
        """List the lessons, with which are done."""
        return {"lessons": views.overview()}

    @router.get("/lessons/{lesson}")
    def lesson(lesson: str) -> dict[str, Any]:
        """Show a lesson: what to read, its question and its choices."""
        return views.lesson(known(lesson))

    @router.get("/lessons/{lesson}/experiment")
    def experiment(lesson: str) -> Response:
        """Show the latest experiment of a lesson: curves so far, and the measured answer."""
        return as_json(views.experiment(known(lesson)))

    @router.post("/lessons/{lesson}/experiment", status_code=202)
    def start_experiment(lesson: str, body: LessonRequest) -> dict[str, Any]:
        """Note the prediction, and train the models of a lesson in a process of its own."""
        choices = load_lesson(known(lesson)).choices
        if body.prediction >= len(choices):
            raise ConfigError(
                "prediction", str(body.prediction), f"0 to {len(choices) - 1}",
                "name the position of a choice",
            )  # fmt: skip
        views.start(lesson, body.text, workspace.corpus(body.text), body.prediction)
        return {"lesson": lesson}

    @router.post("/lessons/{lesson}/experiment/stop")
    def stop_experiment(lesson: str) -> dict[str, Any]:
        """Stop the experiment of a lesson, or take it out of the queue."""
        jobs.stop(job_name(known(lesson)))
        return {"lesson": lesson, "stopping": True}

    return router


def known(lesson: str) -> str:
    """Return `lesson`, if there is one of that name."""
    if lesson not in load_lessons():
        raise NoSuchItemError(
            "lesson", f"{lesson[:40]!r}", "one of " + ", ".join(load_lessons()), "look at the list"
        )
    return lesson

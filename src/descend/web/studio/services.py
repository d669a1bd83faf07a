"""The parts that routes share."""

from __future__ import annotations

from dataclasses import dataclass

from descend.web.credentials import Credentials
from descend.web.studio.children import Children
from descend.web.studio.health import HealthChecks
from descend.web.studio.jobs import Jobs
from descend.web.studio.lesson_view import LessonViews
from descend.web.studio.run_views import RunViews
from descend.web.studio.talk import Talk
from descend.web.studio.workspace import Workspace


@dataclass(frozen=True)
class Services:
    """What a studio is made of."""

    workspace: Workspace
    credentials: Credentials
    jobs: Jobs
    views: RunViews
    children: Children
    talk: Talk
    lessons: LessonViews
    health: HealthChecks


def make_services(workspace: Workspace, credentials: Credentials) -> Services:
    """Return the parts of a studio over `workspace`, whose folders are made."""
    workspace.make()
    jobs = Jobs(workspace)
    views = RunViews(workspace, jobs)
    return Services(
        workspace=workspace, credentials=credentials, jobs=jobs, views=views,
        children=Children(workspace), talk=Talk(workspace), lessons=LessonViews(workspace, jobs),
        health=HealthChecks(workspace, views),
    )  # fmt: skip

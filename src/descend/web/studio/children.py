"""Short work in a process of its own: `descend VERB … --json`, whose answer is one object.

Work that needs torch stays out of the server: the page stays quick, and what ends badly takes
nothing with it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from descend.errors import UserError
from descend.units import format_duration
from descend.web.studio.http_errors import TooManyRequestsError
from descend.web.studio.processes import COMMAND, child_environment
from descend.web.studio.workspace import Workspace

MAX_CHILDREN, MAX_WAITING = 2, 16
TIMEOUT_SECONDS = 600.0
"""The longest that such work may take: statistics of a text of gigabytes."""


class ChildError(UserError):
    """What `descend` said in the process of its own."""


class Children:
    """Runs `descend` for an answer, at most `MAX_CHILDREN` at a time; equal questions share one."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._free = asyncio.Semaphore(MAX_CHILDREN)
        self._answers: dict[tuple[str, ...], asyncio.Task[dict[str, Any]]] = {}
        self._stamps: dict[tuple[str, ...], object] = {}

    async def ask(self, *arguments: str, stamp: object = None) -> dict[str, Any]:
        """Return the object that `descend ARGUMENTS --json` prints; `ChildError` with its sentence.

        An earlier answer to the same question holds while `stamp` is the same.
        """
        task = self._answers.get(arguments)
        is_old = task is not None and task.done() and self._stamps.get(arguments) != stamp
        if task is None or is_old or (task.done() and (task.cancelled() or task.exception())):
            waiting = sum(not t.done() for t in self._answers.values())
            if waiting >= MAX_WAITING:
                raise TooManyRequestsError(
                    "requests", f"{waiting} at once", "fewer", "wait a little and try again"
                )
            task = asyncio.create_task(self._run(arguments))
            self._answers[arguments], self._stamps[arguments] = task, stamp
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Forget the answers that came: a text may have changed."""
        self._answers = {key: task for key, task in self._answers.items() if not task.done()}

    async def _run(self, arguments: tuple[str, ...]) -> dict[str, Any]:
        async with self._free:
            child = await asyncio.create_subprocess_exec(
                *COMMAND, *arguments, "--json", cwd=self._workspace.root,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, env=child_environment(),
            )  # fmt: skip
            try:
                output, _ = await asyncio.wait_for(child.communicate(), TIMEOUT_SECONDS)
            except TimeoutError:
                raise ChildError(
                    f"descend {arguments[0]}", f"no answer in {format_duration(TIMEOUT_SECONDS)}",
                    "one in this time", "try again when this computer is less busy",
                ) from None  # fmt: skip
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        try:
            answer: dict[str, Any] = json.loads(output)
        except ValueError:
            raise ChildError(
                "descend", f"exit code {child.returncode} and no answer", "an answer",
                f"try `descend {arguments[0]}` in a terminal",
            ) from None  # fmt: skip
        if problem := answer.get("error"):
            facts = [str(problem.get(key) or "") for key in ("where", "found", "expected", "fix")]
            error = ChildError(*facts)
            error.args = (str(problem["message"]),)
            raise error
        return answer

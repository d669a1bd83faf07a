"""A studio on a disk that is full or read-only: sentences, and no state that is half changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.errors import DescendError
from descend.web.studio.app import make_app
from descend.web.studio.jobs import Job, Jobs

from .studio_server import copy_run, stop_job
from .test_odd_requests import COOKIE, HOST

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts need Linux and root"
)

ROOM = 8 * 2**20
TEXT = "stories"
BODIES: dict[str, Any] = {
    "/runs": {"text": TEXT, "minutes": 1}, "/trash/restore": {"id": "1700000000-0"},
    "/runs/{name}/annotation": {"note": "A note.", "tags": ["good"]},
    "/runs/{name}/improvement": {"minutes": 1},
    "/lessons/{lesson}/experiment": {"text": TEXT, "prediction": 0},
    "/experiments/searches": {"text": TEXT, "minutes": 1},
}  # fmt: skip
"""Of requests that are right in all but the disk."""

READS = ("plan", "generate", "inspect", "ablations", "neighbors", "evaluation", "report")
"""What a POST only looks at, or makes in a child process."""

Mount = Callable[[str], None]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a tmpfs in the place of the workspace; called again, it changes the options."""
    place = tmp_path / "work"
    place.mkdir()

    def change(options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)

    change(f"size={ROOM}")
    yield change
    subprocess.run(["umount", "-l", str(place)], check=True)


def spoil(mount: Mount, root: Path, kind: str) -> None:
    """Make the disk of the workspace read-only, or full to the last byte."""
    if kind == "read-only":
        mount("remount,ro")
    else:
        (root / "filler").write_bytes(b"x" * shutil.disk_usage(root).free)
        assert shutil.disk_usage(root).free == 0


def list_changes(services: Any) -> Iterator[tuple[str, str, bytes]]:
    """Method, path, and body of each operation that may write; those that move a run are last."""
    names = {"{lesson}": "loss", "{file}": "a.txt"}
    operations = [
        (method.upper(), path)
        for path, methods in make_app(services, COOKIE).openapi()["paths"].items()
        for method in methods
        if method != "get" and path.rpartition("/")[2] not in READS
    ]
    operations.sort(key=lambda operation: operation[0] == "DELETE" or "trash" in operation[1])
    for method, path in operations:
        body = json.dumps(BODIES.get(path.removeprefix("/api/v1"), {})).encode()
        if method == "PUT" and "annotation" not in path:
            body = b"A text.\n" * 10_000
        name = "new" if "/texts/" in path else "first"
        for word, value in (names | {"{name}": name}).items():
            path = path.replace(word, value)
        yield method, path, body


@pytest.mark.parametrize("kind", ["read-only", "full"])
def test_change_on_a_disk_that_takes_none_is_refused_and_leaves_nothing(
    mount: Mount, services: Any, ask: Any, trained: Path, kind: str
) -> None:
    root = services.workspace.root
    copy_run(trained, root, "first")
    shutil.copytree(trained, services.workspace.trash / "1700000000-0" / "second")
    headers = {"host": HOST, "authorization": f"Bearer {services.credentials.key}",
               "content-type": "application/json"}  # fmt: skip
    spoil(mount, root, kind)
    refused = 0
    for method, path, body in list_changes(services):
        status, _, content = ask(method, path, headers, body)
        assert status < 500 or status == 507, (method, path, status, content)
        if status == 507:
            problem = json.loads(content)["error"]["found"]
            assert "a full disk" in problem or "Read-only file system" in problem, (path, problem)
            refused += 1
    assert refused > 8
    assert services.jobs.all() == [], "what was refused neither runs nor waits"
    for path in ("/runs", "/workspace", "/texts", "/trash", "/lessons", "/experiments"):
        assert ask("GET", f"/api/v1{path}", headers)[0] == 200, path
    mount(f"remount,rw,size={2 * ROOM}")
    if kind == "read-only":  # on the full disk a run could be moved to the trash, and was
        body = json.dumps(BODIES["/runs/{name}/annotation"]).encode()
        assert ask("PUT", "/api/v1/runs/first/annotation", headers, body)[0] == 200


def test_queue_goes_on_when_the_disk_was_full_as_a_process_ended(
    mount: Mount, services: Any
) -> None:
    jobs, root = services.jobs, services.workspace.root
    jobs.add(Job(run="first", kind="diagnose", arguments=["explain", "loss"]))
    jobs.add(Job(run="second", kind="diagnose", arguments=["explain", "loss"]))
    assert [job.run for job in jobs.queue] == ["second"]
    spoil(mount, root, "full")
    until = time.monotonic() + 120
    while jobs.active() and time.monotonic() < until:
        jobs.refresh()
        time.sleep(0.05)
    assert jobs.get("first").ended_at is not None
    assert jobs.get("second").exit_code == 1
    (root / "filler").unlink()
    jobs.add(Job(run="third", kind="diagnose", arguments=["explain", "loss"]))
    assert [job.run for job in jobs.active()] == ["third"]
    stop_job(jobs, "third")


@pytest.mark.parametrize("kind", ["read-only", "full"])
def test_studio_says_that_its_disk_takes_nothing(mount: Mount, tmp_path: Path, kind: str) -> None:
    spoil(mount, tmp_path / "work", kind)
    done = subprocess.run(
        [sys.executable, "-m", "descend", "studio", str(tmp_path / "work"), "--no-browser"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stderr.split())
    assert "expected room and permission to write, but found" in said
    assert {"read-only": "Read-only file system", "full": "a full disk"}[kind] in said
    assert "choose another folder" in said


def test_last_job_of_a_run_stays_known_when_its_next_one_is_refused(
    services: Any,
) -> None:
    jobs = services.jobs
    jobs.add(Job(run="first", kind="diagnose", arguments=["explain", "loss"]))
    stop_job(jobs, "first")
    before = jobs.get("first")
    log = jobs.log_file("first")
    log.unlink()
    log.mkdir()  # its output cannot be written: the process does not start
    with pytest.raises(DescendError):
        jobs.add(Job(run="first", kind="train", arguments=["explain", "loss"]))
    assert jobs.get("first") == before
    assert jobs.active() == []
    assert Jobs(services.workspace).get("first") == before

"""Two studios in one folder: the second is refused, and the first notices nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from .studio_server import Studios


def open_second(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "descend", "studio", str(folder), "--no-browser"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_second_studio_is_refused_until_the_first_ends(studio: Any, studios: Studios) -> None:
    second = open_second(studio.folder)
    assert second.returncode == 2, second.stderr
    error = second.stderr.replace("\n", " ")
    assert "found another studio that works in it. Fix: Use that studio" in error
    assert (studio.folder / ".studio" / "api_key").read_text() == studio.key
    assert studio.ask("GET", "/runs")[0] == 200
    studio.process.send_signal(signal.SIGKILL)
    studio.process.wait()
    assert studios.start(studio.folder).ask("GET", "/runs")[0] == 200

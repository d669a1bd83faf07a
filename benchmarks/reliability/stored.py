"""Stores what a part of the campaign measured, with its command, machine and commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "reliability"


def bound_of_zero(count: int) -> float | None:
    """Upper 95 % bound of a rate of which 0 of `count` was observed: the rule of three."""
    return None if count == 0 else round(min(1.0, 3 / count), 5)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for all that a script writes, with the cache of descend in it."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        os.environ["DESCEND_CACHE_DIR"] = str(place / "cache")
        yield place


def store(name: str, values: dict[str, Any], out: Path | None) -> None:
    """Write `values` to `out`, or to the stored results, and print them."""
    import torch

    facts = {
        "command": _command(),
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": read_commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    path = out or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts | values, indent=1) + "\n", encoding="utf-8")
    summary = {k: v for k, v in values.items() if not isinstance(v, list)}
    print(json.dumps(summary, indent=1))


def _command() -> str:
    """What was typed, without the file that it is written to."""
    words = [
        word for n, word in enumerate(sys.argv) if "--out" not in sys.argv[max(n - 1, 0) : n + 1]
    ]
    return " ".join(["python", *words]).replace(f"{ROOT}/", "")


def read_commit() -> str:
    """The commit of this repository."""
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    return done.stdout.strip()

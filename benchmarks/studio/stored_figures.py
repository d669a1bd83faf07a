"""Stores what a script of this folder measured, with its machine, its load, and its commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descend.machine import cpu_name, package_versions


def store_figures(measure: Callable[[Path], Any], **facts: Any) -> None:
    """Measure in a fresh folder, write the figures to the file that the user names, print them."""
    target, script = Path(sys.argv[1]), Path(sys.argv[0]).name
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], check=True, capture_output=True, text=True
    ).stdout.strip()
    record = {
        "command": f"python benchmarks/studio/{script} RESULT.json",
        "machine": {"system": platform.system(), "processor": cpu_name(),
                    "cores": os.cpu_count(), "versions": package_versions()},
        "load_average": os.getloadavg(),
        "commit": commit,
        **facts,
        "figures": figures,
    }  # fmt: skip
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))

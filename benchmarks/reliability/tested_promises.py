"""The promises that tests hold by themselves: each with its files, and how many tests passed.

    python benchmarks/reliability/tested_promises.py [NAME …] [--out FILE]

A test that was skipped counts as not run. Without `--out`, the promises that are not named keep
their stored figures. The exit code is 1 if a test failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from campaign_options import make_parser
from stored import RESULTS, ROOT, store

HERE = "tests/reliability"
FILES = {
    "damage": [f"{HERE}/test_checkpoints.py", f"{HERE}/test_cache.py", f"{HERE}/test_records.py"],
    "strangers": [f"{HERE}/test_strangers.py", f"{HERE}/test_nothing_runs.py",
                  f"{HERE}/test_links_and_names.py", f"{HERE}/test_current_folder.py"],
    "gate": ["tests/web/test_gate.py", "tests/web/serve/test_serve_gate.py",
             "tests/web/test_odd_connections.py"],
    "requests": ["tests/web/test_odd_requests.py", "tests/web/test_schema.py",
                 "tests/web/serve/test_serve_fuzz.py", "tests/web/test_request_limits.py"],
    "users": ["tests/web/test_other_users.py"],
    "inert": [f"{HERE}/test_inert.py", "tests/browser/test_report.py"],
    "two": [f"{HERE}/test_two_writers.py", f"{HERE}/test_locks.py",
            "tests/web/test_two_studios.py"],
    "old": ["tests/runs/test_stored_folders.py"],
    "chain": ["tests/test_known_advisories.py"],
}  # fmt: skip


def run_tests(files: list[str]) -> dict[str, Any]:
    """Run the tests of `files`; how many passed, failed, and were not run."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=--import-mode=importlib",
                   "-p", "no:cacheprovider", f"--junitxml={report}", *files]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        print(done.stdout[-1500:], file=sys.stderr, flush=True)
        suite = ElementTree.parse(report).getroot()[0].attrib
    total, skipped = int(suite["tests"]), int(suite["skipped"])
    failed = int(suite["failures"]) + int(suite["errors"])
    return {
        "total": total - skipped, "failures": failed, "not_run": skipped,
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FILES))
    arguments = parser.parse_args()
    stored, promises = RESULTS / "tested_promises.json", {}
    if arguments.out is None and stored.exists():
        promises = json.loads(stored.read_text(encoding="utf-8"))["promises"]
    until = time.monotonic() + 60 * arguments.minutes
    failed = False
    for name in arguments.names or FILES:
        if time.monotonic() > until:
            break
        promises[name] = run_tests(FILES[name])
        failed |= bool(promises[name]["failures"])
        store("tested_promises", {"promises": promises}, arguments.out)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

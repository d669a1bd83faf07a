"""An experiment of the command line and all that is needed to repeat it, in a file.

    python benchmarks/experiment.py RESULTS NAME VERB ARGUMENTS …

Runs `descend VERB ARGUMENTS --json` and writes RESULTS/NAME.json: the command, the machine, the
commit, and the whole result. Runs made before come from the cache. Losses do not depend on how
busy the machine is; seconds do.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from descend.machine import cpu_name, package_versions


def main() -> None:
    results, name, verb, *arguments = sys.argv[1:]
    keep(results, name, verb, arguments)


def keep(results: str, name: str, verb: str, arguments: list[str]) -> None:
    """Run `descend VERB ARGUMENTS` and write what came of it to RESULTS/NAME.json."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "descend", verb, *arguments, "--json",
                   "--save-dir", str(Path(folder) / "experiment")]  # fmt: skip
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], check=True, capture_output=True, text=True
    ).stdout.strip()
    # The folder of a text is of this machine only; its name says which text it is.
    plain = [Path(a).name if Path(a).is_absolute() else a for a in arguments]
    output = json.loads(done.stdout)
    output.pop("command")  # with the paths of this machine; it stands beside, without them
    record = {
        "command": f"descend {verb} {' '.join(plain)}",
        "commit": commit,
        "machine": {
            "processor": cpu_name(),
            "system": platform.system(),
            "threads": 1,
            "versions": package_versions(),
        },
        "result": without_paths(output),
    }
    file = Path(results) / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def without_paths(value: object) -> object:
    """`value` with the names of files in place of absolute paths."""
    if isinstance(value, dict):
        return {key: without_paths(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_paths(one) for one in value]
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


if __name__ == "__main__":
    main()

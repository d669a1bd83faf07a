"""One run, its curve and all that is needed to repeat it, in a file.

    python benchmarks/curve.py RESULTS NAME CORPUS [DESCEND FLAGS …] [--constant=PLACE=VALUE …]

Trains with `descend train CORPUS FLAGS --json` and writes RESULTS/NAME.json: the command, the
machine, the commit, and the whole result. The loss of a run does not depend on how busy the
machine is; its seconds do. `--constant=training.schedule.WSD_DECAY_FRACTION=0.3` trains with
another value of a constant.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from descend.machine import cpu_name, package_versions


def program(constants: list[str]) -> str:
    """`descend` with other constants: `training.optimizer.MUON_MATRICES=10` and so on."""
    lines = []
    for constant in constants:
        name, value = constant.split("=")
        module, attribute = f"descend.{name}".rsplit(".", 1)
        lines.append(f"import {module}; {module}.{attribute} = {value}")
    return "\n".join([*lines, "from descend.cli.main import main; main()"])


def main() -> None:
    results, name, corpus, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        constants = [f.split("=", 1)[1] for f in flags if f.startswith("--constant=")]
        flags = [f for f in flags if not f.startswith("--constant=")]
        command = [
            sys.executable, "-c", program(constants), "train", corpus,
            "--save-dir", str(Path(folder) / "model"), "--json", *flags,
        ]  # fmt: skip
        process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        run = json.loads((Path(folder) / "model" / "run.json").read_text())
    output = json.loads(process.stdout)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], check=True, capture_output=True, text=True
    ).stdout.strip()
    record = {
        "command": f"descend train {Path(corpus).name} {' '.join(flags)}".strip(),
        "constants": constants,
        "commit": commit,
        "machine": {
            "processor": cpu_name(),
            "system": platform.system(),
            "threads": run["execution"]["threads"],
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
            "versions": package_versions(),
        },
        "resolved": {
            k: v for k, v in run["resolved"].items() if k not in ("corpus_dir", "save_dir")
        },
        "execution": run["execution"],
        "corpus": {k: v for k, v in run["corpus"].items() if k != "corpus"},
        "result": {k: v for k, v in output.items() if k != "model_dir"},
    }
    file = Path(results) / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

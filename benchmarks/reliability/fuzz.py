"""Coverage-guided fuzzing of all that reads bytes from outside: each input gives a sentence.

    python benchmarks/reliability/fuzz.py [--seconds 60] [--only WORD] [--minutes M] [--out FILE]

Every reader of `fuzz_targets.TARGETS` gets that many seconds. What ends a fuzzer (an error, 10
seconds for one input, 1 GB of memory) is given to the reader as a user meets it. It counts if that
too ends with a traceback, hangs or dies. It needs atheris, and says "not run" without it.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from campaign_options import begin_within, make_parser
from stored import bound_of_zero, scratch_folder, store

HERE = Path(__file__).parent
MAX_FINDINGS = 5
"""Of one reader: it is fuzzed no further then."""
INPUT_SECONDS, INPUT_MEGABYTES, INPUT_BYTES = 10, 1024, 4096
REPLAY_SECONDS = 60


def fuzz(name: str, seconds: float, place: Path) -> dict[str, Any]:
    """Fuzz one reader; how many inputs it read, and what is wrong with it."""
    from fuzz_targets import TARGETS

    seeds = place / "seeds"
    seeds.mkdir(parents=True)
    for seed in TARGETS[name].seeds:
        (seeds / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    inputs, problems, ended = 0, [], time.monotonic() + seconds
    crashes: set[Path] = set()
    while (left := ended - time.monotonic()) > 1 and len(crashes) < MAX_FINDINGS:
        log = run(name, str(seeds), f"-max_total_time={left:.0f}", f"-timeout={INPUT_SECONDS}",
                  f"-rss_limit_mb={INPUT_MEGABYTES}", f"-max_len={INPUT_BYTES}",
                  f"-artifact_prefix={place}/found-", "-print_final_stats=1",
                  seconds=left + 120)  # fmt: skip
        done = re.search(r"number_of_executed_units: (\d+)", log) or re.search(
            r"Done (\d+) runs", log)  # fmt: skip
        inputs += int(done[1]) if done else 0
        new = set(place.glob("found-*")) - crashes
        if not new and not done:
            problems.append(f"{name}: the fuzzer ended: {log[-300:]}")
            break
        problems += [
            f"{name}: {path.read_bytes()[:200]!r}: {problem}"
            for path in new if (problem := replay(name, path))
        ]  # fmt: skip
        crashes |= new
    return {"inputs": inputs, "crashes": len(crashes), "problems": problems}


def run(*words: str, seconds: float) -> str:
    """Run `fuzz_targets.py`; what it said."""
    command = [sys.executable, str(HERE / "fuzz_targets.py"), *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False,
                              env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it did not end"
    return (done.stdout + done.stderr).decode(errors="replace") + f"\nexit code {done.returncode}"


def replay(name: str, path: Path) -> str:
    """What is wrong when a user gives that input to the reader; nothing if it is a sentence."""
    said = run(name, "--replay", str(path), seconds=REPLAY_SECONDS)
    return "" if said.strip().endswith("exit code 0") else said[-300:]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0, help="for each reader")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    if find_spec("atheris") is None:
        sys.exit("not run: it needs atheris")
    from fuzz_targets import TARGETS

    chosen = [name for name in TARGETS if arguments.only in name]
    inputs: dict[str, int] = {}
    problems: list[str] = []
    crashes = 0
    with scratch_folder() as place:
        os.environ["TMPDIR"] = str(place)
        for number, name in enumerate(begin_within(arguments.minutes, chosen)):
            result = fuzz(name, arguments.seconds, place / str(number))
            print(name, result, file=sys.stderr, flush=True)
            inputs[name] = result["inputs"]
            crashes += result["crashes"]
            problems += result["problems"]
    total = sum(inputs.values())
    store("fuzz", {
        "seconds_each": arguments.seconds, "readers": len(inputs), "planned": len(chosen),
        "total": total, "bound": bound_of_zero(total), "findings": crashes,
        "failures": len(problems), "inputs": inputs, "problems": problems,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems or not inputs else 0)


if __name__ == "__main__":
    main()

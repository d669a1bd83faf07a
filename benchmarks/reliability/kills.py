"""Kills a run at random times until it is finished: it ends as if nothing had happened.

    python benchmarks/reliability/kills.py [--kills N] [--minutes M] [--seed S] [--out FILE]

A run is killed (SIGKILL) after a uniform part of its life, or, in 3 of 10 cases, as soon as a save
is under way. It is resumed and killed again. After a kill two whole checkpoints must stand once two
were saved, and no more than the steps of two saves may be lost. At the end the weights must be
those of the undisturbed run, bit for bit. The exit code is 1 otherwise.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import whole_runs
from campaign_options import make_parser
from stored import bound_of_zero, store

AIMED_SHARE = 0.3
POLL_SECONDS = 0.0005
MAX_KILLS_OF_A_RUN = 6


def wait_for_save(child: int, folder: Path, seconds: float) -> bool:
    """Wait until a save is under way in `folder`, or the child ends; whether a save was seen."""
    until = time.monotonic() + seconds
    checkpoints = folder / "checkpoints"
    while time.monotonic() < until and not has_ended(child):
        try:
            if any(n.endswith((".partial", ".old")) for n in os.listdir(checkpoints)):
                return True
        except OSError:
            pass
        time.sleep(POLL_SECONDS)
    return False


def has_ended(child: int) -> bool:
    """Whether the child is a zombie by now; it is not waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_uniform(child: int, seconds: float) -> None:
    """Wait so long, or until the child ends."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not has_ended(child):
        time.sleep(min(0.002, seconds))


def check_killed(folder: Path) -> tuple[int, list[str]]:
    """Steps that a kill lost, and what does not hold."""
    from descend.errors import DescendError

    if not folder.is_dir():
        return 0, []
    try:
        lost = max(0, whole_runs.last_step(folder) - whole_runs.newest_step(folder))
        problems = whole_runs.check_checkpoints(folder)
    except DescendError as problem:
        return 0, [f"the folder cannot be read: {problem}"]
    if lost > 2 * whole_runs.SAVE_STEPS:
        problems.append(f"{lost} steps are lost")
    return lost, problems


def kill_until_done(clean: whole_runs.CleanRun, draw: random.Random) -> dict[str, Any]:
    """One run, killed again and again, then let through; what came of it."""
    place, life = clean.place, clean.seconds
    folder, output = place / "killed", place / "output"
    shutil.rmtree(folder, ignore_errors=True)
    kills, aimed, worst, problems, is_done = 0, 0, 0, [], False
    while kills < MAX_KILLS_OF_A_RUN:
        child = whole_runs.start(whole_runs.words_to_go_on(place, folder), output)
        at_save = draw.random() < AIMED_SHARE
        part = draw.random()
        if at_save:
            wait_uniform(child, part * life / 2)
            at_save = wait_for_save(child, folder, life)
        else:
            wait_uniform(child, part * life)
        os.kill(child, signal.SIGKILL)
        ending = whole_runs.finish(child, output)
        if ending.code != -signal.SIGKILL:
            problems += ending.problems()
            is_done = True
            break
        kills, aimed = kills + 1, aimed + at_save
        lost, wrong = check_killed(folder)
        worst, problems = max(worst, lost), problems + wrong
    problems += whole_runs.check_completion(clean, folder, goes_on=not is_done)
    left = [p.name for p in folder.rglob(".*") if p.name.endswith((".partial", ".old"))]
    problems += [f"{name} is left behind" for name in left]
    return {"kills": kills, "aimed": aimed, "worst": worst, "problems": problems}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    total = {"kills": 0, "aimed": 0, "worst": 0}
    problems: list[str] = []
    runs, until = 0, time.monotonic() + 60 * arguments.minutes
    with whole_runs.open_bench() as clean:
        while total["kills"] < arguments.kills and time.monotonic() < until:
            result = kill_until_done(clean, draw)
            runs += 1
            total["kills"] += result["kills"]
            total["aimed"] += result["aimed"]
            total["worst"] = max(total["worst"], result["worst"])
            problems += [f"run {runs}: {problem}" for problem in result["problems"]]
            print(f"{total['kills']} kills, {len(problems)} problems", file=sys.stderr, flush=True)
    store("kills", {
        "total": total["kills"], "in_saves": total["aimed"], "runs": runs,
        "most_steps_lost": total["worst"], "steps_between_saves": whole_runs.SAVE_STEPS,
        "seed": arguments.seed, "failures": len(problems),
        "bound": bound_of_zero(total["kills"]), "problems": problems,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems or not total["kills"] else 0)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()

"""Every hostile folder through every verb that reads one.

    python benchmarks/reliability/hostile_verbs.py [--short] [--held-back] [--only WORD]

Each verb runs in a forked process with limits of memory, processor time, and file size, and with an
audit hook. It must end by itself with exit code 0, 1, or 2 and without a traceback. It may print no
control code, change no file outside its folder, read none of the user's, and import, connect, or
start nothing. With `--held-back` the folders are those of `held_back_folders`. The exit code is 1
if any of that did not hold.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from campaign_options import begin_within, make_parser
from stored import bound_of_zero, scratch_folder, store

Change = Callable[[Path, Path], object]
"""Changes a run folder; the second path is a folder of the user, which holds `mine.txt`."""

CPU_SECONDS = 20
MORE_BYTES = 2**30
OUTPUT_BYTES = 2**20

VERBS = {
    "report": ["report", "{run}"],
    "generate": ["generate", "{run}", "The cat", "--max-new-tokens", "4", "--seed", "1"],
    "evaluate": ["evaluate", "{run}", "{text}", "--json"],
    "diagnose": ["diagnose", "{run}", "--no-trials"],
    "continue": ["continue", "{run}", "{text}", "--epoch", "1", "--threads", "1", "--compile",
                 "off", "--save-dir", "continued"],
    "resume": ["resume", "{run}"],
    "list": ["list", "{parent}"],
    "show": ["show", "{run}"],
    "forecast": ["forecast", "{run}"],
    "checklist": ["checklist", "{run}"],
    "explain": ["explain", "learning_rate", "--run", "{run}"],
}  # fmt: skip


def make_bases(place: Path, stopped_epochs: int = 6) -> dict[str, Path]:
    """A finished run, and one stopped in its first epoch with two checkpoints."""
    import saves

    from descend.config import make_config
    from descend.runs.events import Step
    from descend.runs.run_files import load_summary, write_summary
    from descend.training.checkpoint import save_checkpoint
    from descend.training.trainer import run_training
    from descend.training.training_run import create_run

    text = place / "text.txt"
    saves.write_text(text)
    bases = {}
    for name, steps in (("finished", None), ("stopped", 12)):
        values = {"corpus_dir": str(text), "epoch": stopped_epochs if steps else 2}
        run = create_run(make_config(saves.TINY | values), place / name)
        records = run_training(run)
        for record in records:
            if steps and isinstance(record, Step) and record.step in (4, 8):
                save_checkpoint(run.folder, run.state)
            if steps and isinstance(record, Step) and record.step == steps:
                break
        records.close()  # type: ignore[attr-defined]
        bases[name] = run.folder
    for file in bases["finished"].iterdir():  # so that each file is there to be made hostile
        if file.is_file() and not (bases["stopped"] / file.name).exists():
            shutil.copy(file, bases["stopped"])
    summary = msgspec.structs.replace(load_summary(bases["finished"]), finished=False)
    write_summary(bases["stopped"], summary)
    return bases


class Watch:
    """The audit hook of a child: writes what must not happen into a file."""

    def __init__(self, report: Path, place: Path, own: Path, cache: Path) -> None:
        self.descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.allowed = (str(place), str(cache), tempfile.gettempdir(), "/dev/null")
        self.own = str(own)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        problem = None
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            if path.startswith(self.own):
                problem = f"opened {path}"
            elif flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not path.startswith(
                self.allowed
            ):
                problem = f"wrote {path}"
        elif event in ("socket.connect", "socket.getaddrinfo", "os.system", "pickle.find_class",
                       "os.exec", "os.posix_spawn"):  # fmt: skip
            problem = f"{event} {str(arguments)[:100]}"
        elif event == "subprocess.Popen" and not self._is_own(arguments[1]):
            problem = f"started {str(arguments[1])[:100]}"
        if problem:
            os.write(self.descriptor, problem.encode(errors="replace") + b"\n")

    @staticmethod
    def _is_own(command: Any) -> bool:
        """One of descend's own limited children."""
        return isinstance(command, list) and command[1:3] == ["-P", "-c"] and (
            str(command[3]).startswith("from descend.")
        )  # fmt: skip


def run_verb(words: list[str], place: Path, own: Path, cache: Path) -> dict[str, Any]:
    """Run `descend WORDS` in a child; how it ended, and what it printed and did."""
    output, report = place.parent / "output", place.parent / "audit"
    child = os.fork()
    if child == 0:
        descriptor = os.open(output, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(place)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        for kind, limit in ((resource.RLIMIT_AS, used + MORE_BYTES),
                            (resource.RLIMIT_CPU, CPU_SECONDS),
                            (resource.RLIMIT_FSIZE, 2**28)):  # fmt: skip
            resource.setrlimit(kind, (limit, limit))
        from descend.cli.main import run

        before = set(sys.modules)
        sys.addaudithook(Watch(report, place, own, cache))
        code = run(words)
        sys.stdout.flush()
        sys.stderr.flush()
        for name in set(sys.modules) - before:
            file = str(getattr(sys.modules[name], "__file__", "") or "")
            if file.startswith(str(place)):
                print(f"Traceback: imported {file}", flush=True)
        os._exit(code if 0 <= code < 100 else 99)
    _, status, usage = os.wait4(child, 0)
    text = output.read_bytes()[:OUTPUT_BYTES].decode(errors="replace") if output.exists() else ""
    return {
        "code": os.waitstatus_to_exitcode(status), "output": text,
        "audit": report.read_text() if report.exists() else "",
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }  # fmt: skip


def judge(verb: str, result: dict[str, Any]) -> list[str]:
    """What does not hold of one verb on one folder."""
    from descend.guard import make_visible

    problems = []
    output = result["output"]
    if result["code"] not in (0, 1, 2):
        problems.append(f"ended with {result['code']}: {output[-200:]!r}")
    if "Traceback" in output or "This is a bug" in output:
        problems.append(f"no sentence: {output[-300:]!r}")
    if result["audit"]:
        problems.append(f"did what it must not: {result['audit'].splitlines()[0]}")
    raw = {c for c in output if c != "\n" and make_visible(c) != c}
    if raw:
        problems.append(f"printed control codes {raw}")
    if verb == "evaluate" and result["code"] == 0:
        line = json.loads(output[output.index("{") :])
        losses = [v for k, v in _numbers(line) if "loss" in k]
        if not losses or not all(isinstance(v, float) and math.isfinite(v) for v in losses):
            problems.append("a loss that is no number, with exit code 0")
    return problems


def _numbers(value: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for k, v in value.items() for pair in _numbers(v, k)]
    return [(key, value)]


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def try_verb(
    verb: str, change: Change | None, bases: dict[str, Path], place: Path
) -> tuple[dict[str, Any], list[str]]:
    """Put a fresh copy of a folder, made hostile by `change`, through `verb`; how it ended, and
    what does not hold."""
    scratch, own = place / "scratch", place / "own"
    for folder in (scratch, own):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    (own / "mine.txt").write_text("This is mine, all of it. " * 400)
    folder = scratch / "models" / "run"
    shutil.copytree(bases["stopped" if verb == "resume" else "finished"], folder)
    if change is not None:
        change(folder, own)
    before = contents(own)
    words = [w.format(run=folder, text=place / "text.txt", parent=folder.parent)
             for w in VERBS[verb]]  # fmt: skip
    result = run_verb(words, scratch, own, Path(os.environ["DESCEND_CACHE_DIR"]))
    wrong = judge(verb, result)
    if change is None and result["code"] != 0:
        wrong.append(f"the folder as it is: {result['output'][-300:]}")
    if contents(own) != before:
        wrong.append("a file of the user was changed")
    return result, wrong


def list_cases(folders: dict[str, Change], short: bool) -> list[tuple[str, str]]:
    """Folder and verb, for each verb in turn with another folder: the first `len(folders)` hold
    every folder. In the short form those alone, and the folder as it is with every verb."""
    as_it_is = [("as it is", verb) for verb in VERBS]
    turns = range(1 if short else len(VERBS))
    verbs = list(VERBS)
    return as_it_is + [
        (name, verbs[(number + turn) % len(verbs)])
        for turn in turns for number, name in enumerate(folders, 1)
    ]  # fmt: skip


def try_all(
    place: Path, folders: dict[str, Change], cases: list[tuple[str, str]], minutes: float
) -> dict[str, Any]:
    """Try `cases` while there is time."""
    import descend.api
    import descend.cli.main  # noqa: F401

    bases = make_bases(place)
    endings: Counter[str] = Counter()
    problems, slowest, tried = [], 0.0, set()
    for name, verb in begin_within(minutes, cases):
        result, wrong = try_verb(verb, folders.get(name), bases, place)
        tried.add((name, verb))
        endings[f"exit {result['code']}"] += 1
        slowest = max(slowest, result["cpu_seconds"])
        problems += [f"{verb}, {name}: {problem}".replace(str(place), "") for problem in wrong]
        said = wrong or result["output"].strip()[-300:]
        print(f"{verb}, {name}: exit {result['code']}: {said!r}", file=sys.stderr, flush=True)
    return {
        "folders": len({name for name, _ in tried if name in folders}), "verbs": len(VERBS),
        "planned": len(cases), "total": len(tried), "endings": dict(endings),
        "slowest_cpu_seconds": round(slowest, 2), "failures": len(problems), "problems": problems,
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, short="each folder with one of the verbs")
    parser.add_argument("--held-back", action="store_true", help="folders made without the code")
    parser.add_argument("--only", default="", help="folders with this word in their names")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from held_back_folders import UNSEEN_FOLDERS
    from hostile_folders import FOLDERS

    folders = UNSEEN_FOLDERS if arguments.held_back else FOLDERS
    chosen = {name: change for name, change in folders.items() if arguments.only in name}
    with scratch_folder() as place:
        cases = list_cases(chosen, arguments.short)
        result = try_all(place, chosen, cases, arguments.minutes)
    result["bound"] = bound_of_zero(result["total"])
    store("held_back_folders" if arguments.held_back else "hostile_verbs", result, arguments.out)
    sys.exit(1 if result["failures"] else 0)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()

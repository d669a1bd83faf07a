"""Every key of every JSON file of a run folder with a value of another type, or without it.

    python benchmarks/reliability/record_types.py [--short] [--after N] [--only FILE …]

A verb that reads the file must end as `hostile_verbs` demands. Checksums are made again or left
out, as whoever means harm would do. Keys, values, and verbs come in an order drawn by a seed. Many
are tried in one process (`value_batches`), every 25th and each with a problem also alone, which
must end alike. The short form takes one value for each key.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from campaign_options import make_parser
from folder_changes import reseal
from hostile_verbs import Change, make_bases
from stored import bound_of_zero, scratch_folder, store
from value_batches import Batch, ChangedRecord, list_problems, run_batch

EVENTS, STATE = "events.jsonl", "checkpoints/*/state.json"
RECORDS = ("report", "diagnose", "forecast", "show", "list", "explain", "checklist", "resume")
MODEL = ("generate", "evaluate", "continue")
READERS = {
    "run.json": (*RECORDS, *MODEL), "summary.json": RECORDS, EVENTS: RECORDS,
    "diagnosis.json": ("report", "show", "list"), "annotation.json": ("list", "show"),
    "config.json": MODEL, "generation_config.json": MODEL, "tokenizer_config.json": MODEL,
    "tokenizer.json": MODEL, STATE: ("resume",), "checkpoints/*/manifest.json": ("resume",),
}  # fmt: skip
WITHOUT = object()
VALUES: dict[str, Any] = {
    "no": WITHOUT, "null": None, "a word": "x", "-1": -1, "0": 0, "1e308": 1e308, "2^70": 2**70,
    "true": True, "a list": [], "an object": {}, "a list of lists": [[[1]]], "0.5": 0.5,
}  # fmt: skip
SEALS = ("sha256", "after", "crc32")
BATCH_SIZE = 200
ALONE_EVERY = 25
MAX_KEYS = 40
"""Of an object with more, as a vocabulary, three stand for all."""

KeyPath = tuple[str | int, ...]


def list_paths(value: Any, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key below `value`; of a list the first entry."""
    if isinstance(value, dict):
        names = list(value)
        for name in names if len(names) <= MAX_KEYS else names[:3]:
            yield (*above, name)
            yield from list_paths(value[name], (*above, name))
    elif isinstance(value, list) and value:
        yield (*above, 0)
        yield from list_paths(value[0], (*above, 0))


def set_value(record: Any, path: KeyPath, value: Any) -> None:
    """Put `value` where `path` leads, or take the key out."""
    for key in path[:-1]:
        record = record[key]
    if value is WITHOUT:
        if isinstance(record, list) or path[-1] in record:
            del record[path[-1]]
    else:
        record[path[-1]] = value


def change_record(pattern: str, path: KeyPath, value: Any) -> Change:
    """Another value in the files of `pattern`."""

    def apply(folder: Path, own: Path) -> None:
        for file in folder.glob(pattern):
            record = json.loads(file.read_bytes())
            if isinstance(record, dict):
                record.pop("sha256", None)
            set_value(record, path, value)
            file.write_text(json.dumps(record))
        reseal(folder)
        if "manifest" in pattern:  # after the one that agrees: it is what is changed
            for file in folder.glob(pattern):
                hashes = json.loads(file.read_text())
                set_value(hashes, path, value)
                file.write_text(json.dumps(hashes))

    return apply


def change_events(kind: str, path: KeyPath, value: Any) -> Change:
    """Another value in each event of `kind`, in a log without checksums."""

    def apply(folder: Path, own: Path) -> None:
        file = folder / EVENTS
        events = [json.loads(line) for line in file.read_text().splitlines()]
        for event in events:
            for seal in SEALS:
                event.pop(seal, None)
            if event["kind"] == kind:
                set_value(event, path, value)
        file.write_text("".join(json.dumps(event) + "\n" for event in events))

    return apply


def list_changes(bases: dict[str, Path]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Name, verbs, and maker of the change by value, of each key of each file."""
    for pattern, verbs in READERS.items():
        base = bases["stopped" if "*" in pattern else "finished"]
        file = next(iter(sorted(base.glob(pattern))), None)
        if file is None:
            continue
        if pattern == EVENTS:
            events = {e["kind"]: e for e in map(json.loads, file.read_text().splitlines())}
            for kind, event in events.items():
                for path in list_paths({k: v for k, v in event.items() if k not in SEALS}):
                    name = f"{EVENTS} {kind} {'.'.join(map(str, path))}"
                    yield name, verbs, lambda v, k=kind, p=path: change_events(k, p, v)
            continue
        for path in list_paths(json.loads(file.read_bytes())):
            if path != ("sha256",):
                name = f"{pattern} {'.'.join(map(str, path))}"
                yield name, verbs, lambda v, n=pattern, p=path: change_record(n, p, v)


def draw_cases(bases: dict[str, Path], short: bool) -> list[ChangedRecord]:
    """Each key with each value, or with one in the short form, and a verb for each."""
    pick = random.Random(0)
    cases = [
        ChangedRecord(f"{name} = {word}", pick.choice(verbs), make(VALUES[word]))
        for name, verbs, make in list_changes(bases)
        for word in pick.sample(list(VALUES), 1 if short else len(VALUES))
    ]
    pick.shuffle(cases)
    return cases


def try_all(
    place: Path, bases: dict[str, Path], cases: list[ChangedRecord], minutes: float
) -> dict[str, Any]:
    """Try `cases` while there is time, many in a process; what is wrong, and every 25th, alone."""
    from descend.cli.main import run

    batch = Batch(place, bases, run)
    endings: Counter[str] = Counter()
    problems: list[str] = []
    slowest, done, alone, differ, until = 0.0, 0, 0, 0, time.monotonic() + 60 * minutes
    while done < len(cases) and time.monotonic() < until:
        results = run_batch(batch, cases[done : done + BATCH_SIZE], done)
        for number, result in enumerate(results, done):
            case = cases[number]
            wrong = list_problems(case, result)
            if wrong or number % ALONE_EVERY == 0:
                again = run_batch(batch, [case], number)[0]
                alone += 1
                wrong += [f"alone: {problem}" for problem in list_problems(case, again)]
                if (again["code"], refusal(again)) != (result["code"], refusal(result)):
                    differ += 1
                    print(f"alone it ends otherwise: {refusal(again)!r}", file=sys.stderr)
            endings[f"exit {result['code']}"] += 1
            slowest = max(slowest, result["cpu_seconds"])
            problems += [f"{case.verb}, {case.name}: {p}".replace(str(place), "") for p in wrong]
            said = wrong or result["output"].strip()[-300:]
            print(f"{case.verb}, {case.name}: exit {result['code']}: {said!r}",
                  file=sys.stderr, flush=True)  # fmt: skip
        done += len(results)
    return {
        "planned": len(cases), "total": done, "endings": dict(endings), "alone_too": alone,
        "alone_otherwise": differ, "slowest_cpu_seconds": round(slowest, 2),
        "failures": len(problems), "problems": problems, "bound": bound_of_zero(done),
    }  # fmt: skip


def refusal(result: dict[str, Any]) -> str:
    """The sentence of a case that was refused; what others print holds times."""
    lines = [line for line in result["output"].splitlines() if line.startswith("error: ")]
    return lines[-1] if result["code"] and lines else ""


def main() -> None:
    parser = make_parser(__doc__, short="one value for each key", has_parts=True)
    parser.add_argument("--only", nargs="+", metavar="FILE", help="values of these files alone")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from descend import machine

    machine.count_active_cores = lambda: 0.0  # a busy machine would wait for its own timings
    with scratch_folder() as place:
        (place / "first").mkdir()
        bases = make_bases(place / "first", stopped_epochs=2)
        cases = draw_cases(bases, arguments.short)
        if arguments.only:
            cases = [case for case in cases if case.name.startswith(tuple(arguments.only))]
        cases = cases[arguments.after :]
        result = try_all(place, bases, cases, arguments.minutes)
    store("record_types", result, arguments.out)
    sys.exit(1 if result["failures"] or result["alone_otherwise"] else 0)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()

"""Every key of every JSON file of a run folder with a value of another type, or without it.

    python benchmarks/reliability/record_types.py [--short] [--after N] [--minutes M] [--out FILE]

A verb that reads the file must end as `hostile_verbs` demands. Checksums are made again or left
out, as whoever means harm would do. Keys, values, and verbs come in an order drawn by a seed. The
short form takes one value for each key.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from campaign_options import make_parser
from folder_changes import reseal
from hostile_verbs import VERBS, Change, make_bases, try_all
from stored import bound_of_zero, scratch_folder, store

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


def draw_cases(bases: dict[str, Path], short: bool) -> dict[str, tuple[Change, str]]:
    """Each key with each value, or with one in the short form, and a verb for each."""
    pick = random.Random(0)
    cases = {}
    for name, verbs, make in list_changes(bases):
        for word in pick.sample(list(VALUES), 1 if short else len(VALUES)):
            cases[f"{name} = {word}"] = (make(VALUES[word]), pick.choice(verbs))
    names = list(cases)
    pick.shuffle(names)
    return {name: cases[name] for name in names}


def import_readers(bases: dict[str, Path], place: Path) -> None:
    """Import what the verbs import, so that no child does it anew: each runs in a child before."""
    names = place / "modules"
    for verb in VERBS:
        folder = place / verb / "run"
        shutil.copytree(bases["stopped" if verb == "resume" else "finished"], folder)
        if (child := os.fork()) == 0:
            os.chdir(folder.parent)
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            from descend.cli.main import run

            text = bases["finished"].parent / "text.txt"
            run([w.format(run=folder, text=text, parent=folder.parent) for w in VERBS[verb]])
            names.write_text("\n".join(sys.modules))
            os._exit(0)
        os.waitpid(child, 0)
        for name in names.read_text().splitlines():
            with suppress(Exception):
                import_module(name)


def main() -> None:
    parser = make_parser(__doc__, short="one value for each key", has_parts=True)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with scratch_folder() as place:
        (place / "first").mkdir()
        bases = make_bases(place / "first")
        cases = draw_cases(bases, arguments.short)
        import_readers(bases, place / "warm")
        folders = {name: change for name, (change, _) in cases.items()}
        pairs = [(name, verb) for name, (_, verb) in cases.items()][arguments.after :]
        result = try_all(place, folders, pairs, arguments.minutes)
    result["bound"] = bound_of_zero(result["total"])
    store("record_types", result, arguments.out)
    sys.exit(1 if result["failures"] else 0)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()

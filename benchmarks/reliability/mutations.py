"""Takes one sync, or one check, out of our code at a time: a test must notice each.

    python benchmarks/reliability/mutations.py [--out FILE] [--only WORD]

Each mutation is made in a forked process, which then plays the crash states of an operation, or
tries one kind of fault in it. The exit code is 1 if one is not noticed, or if the code as it is
fails.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any, NamedTuple

import fault_injection
from fault_injection import MissingToolError


class Mutation(NamedTuple):
    """A line of a module, what stands there instead, and the operation that must fail then."""

    name: str
    module: str
    line: str
    instead: str
    operation: str
    fault: str = "crash states"


def without_sync(module: str, line: str, operation: str) -> Mutation:
    """A sync taken out."""
    return Mutation(f"without `{line}` in {module}", f"descend.{module}", line, "pass", operation)


ATOMIC, CHECKPOINT, CACHE = "runs.atomic_write", "training.checkpoint", "data.cache_build"
CORPUS = "data.corpus_builder"
WRITTEN_FILE = "aside.replace(path)\n        finally:\n            aside.unlink(missing_ok=True)\n        "
RENAMED = "aside.rename(folder)\n            "

SYNCS = (
    without_sync("guard", "os.fsync(descriptor)\n    finally:\n        os.close(descriptor)\n\n\ndef sync_folder",
                 "cache")._replace(instead="pass\n    finally:\n        os.close(descriptor)\n\n\ndef sync_folder",
                                   name="without os.fsync in guard.sync_file"),
    without_sync("guard", "os.fsync(descriptor)\n    finally:\n        os.close(descriptor)\n\n\nSTALE",
                 "checkpoint")._replace(instead="pass\n    finally:\n        os.close(descriptor)\n\n\nSTALE",
                                        name="without os.fsync in guard.sync_folder"),
    without_sync(ATOMIC, "os.fsync(file.fileno())", "checkpoint"),
    without_sync(ATOMIC, "sync_folder(aside)", "checkpoint"),
    without_sync(ATOMIC, f"{RENAMED}sync_folder(folder.parent)", "checkpoint")._replace(
        instead=f"{RENAMED}pass", name="without sync_folder(folder.parent) in write_folder_atomic"),
    without_sync(ATOMIC, f"{WRITTEN_FILE}sync_folder(path.parent)", "records")._replace(
        instead=f"{WRITTEN_FILE}pass", name="without sync_folder(path.parent) in write_file_atomic"),
    without_sync(ATOMIC, "sync_folder(new.parent)", "new run"),
    without_sync("runs.model_files", "sync_folder(folder)", "model"),
    without_sync("runs.event_log", "os.fsync(file.fileno())", "checkpoint"),
    without_sync(CACHE, "sync_file(path)", "cache"),
    without_sync(CACHE, "sync_file(folder / MANIFEST)", "cache"),
    without_sync(CACHE, "    sync_folder(folder)\n", "cache")._replace(
        instead="    pass\n", name="without sync_folder(folder) in cache_build"),
    without_sync(CACHE, "sync_folder(folder.parent)", "cache"),
    without_sync(CORPUS, "os.fsync(file.fileno())", "corpus"),
    without_sync(CORPUS, "sync_file(aside)", "corpus"),
    without_sync(CORPUS, "sync_folder(dest)", "corpus"),
    without_sync(CORPUS, "sync_folder(dest.resolve().parent)", "corpus"),
)  # fmt: skip

CHECKS = (
    Mutation("checkpoints are not read back", f"descend.{ATOMIC}", "if not verify_folder(aside):",
             "if False:", "checkpoint", "flipped bit"),
    Mutation("one checkpoint is kept", f"descend.{CHECKPOINT}", "CHECKPOINT_COUNT = 2",
             "CHECKPOINT_COUNT = 1", "checkpoint", "killed after"),
    Mutation("no later checkpoint is kept", f"descend.{CHECKPOINT}",
             " or later[: CHECKPOINT_COUNT - 1]", "", "earlier step", "killed after"),
    Mutation("events are not synced before a checkpoint", f"descend.{CHECKPOINT}",
             "sync_events(folder)", "pass", "checkpoint"),
    Mutation("what was moved away does not come back", f"descend.{ATOMIC}", "aside.rename(target)",
             "pass", "same step", "killed after"),
    Mutation("half of a line passes for one", f"descend.runs.event_log",
             "if self._file.write(line) != len(line):", "if self._file.write(line) < 0:",
             "checkpoint", "short write"),
    Mutation("the old manifest stays beside a new model", "descend.runs.model_files",
             "manifest.unlink(missing_ok=True)", "pass", "model", "killed after"),
    Mutation("partial files stay", f"descend.{ATOMIC}", "remove_folder(aside)", "pass",
             "checkpoint", "killed before"),
    Mutation("a file is written in its place", f"descend.{ATOMIC}",
             'aside = path.with_name(f".{path.name}.{os.getpid()}.partial")', "aside = path",
             "records", "killed after"),
    Mutation("an error of the disk is no sentence", f"descend.{ATOMIC}",
             "raise disk_error(path, problem) from None\n\n\ndef", "raise\n\n\ndef", "checkpoint",
             "EIO"),
)  # fmt: skip


def mutate(mutation: Mutation) -> None:
    """Put the code of the changed module into the functions of the one that is loaded."""
    module = importlib.import_module(mutation.module)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    if source.count(mutation.line) != 1:
        raise ValueError(f"{mutation.name}: its line stands there {source.count(mutation.line)} times")
    changed = source.replace(mutation.line, mutation.instead)
    scratch = types.ModuleType(module.__name__)
    scratch.__file__ = module.__file__
    exec(compile(changed, module.__file__, "exec"), scratch.__dict__)
    for name, value in vars(scratch).items():
        if isinstance(value, int) and getattr(module, name, None) != value:
            setattr(module, name, value)
        _exchange(getattr(module, name, None), value, module.__name__)


def _exchange(old: Any, new: Any, module: str) -> None:
    """Give `old`, a function or class of `module`, the code of `new`."""
    if getattr(new, "__module__", None) != module:
        return
    old, new = getattr(old, "__wrapped__", old), getattr(new, "__wrapped__", new)
    if isinstance(old, types.FunctionType) and isinstance(new, types.FunctionType):
        old.__code__ = new.__code__
    elif isinstance(old, type):
        for name, method in vars(new).items():
            if isinstance(method, types.FunctionType):
                _exchange(vars(old).get(name), method, module)


def count_problems(bench, place: Path, mutation: Mutation | None, operation: str, fault: str) -> int:
    """In a child: problems that the test of `operation` meets; -1 if it cannot run."""
    import crash_states
    import save_faults

    child = os.fork()
    if child == 0:
        code = 255
        try:
            if mutation is not None:
                mutate(mutation)
            if fault == "crash states":
                problems = crash_states.check_operation(bench, place, operation)[2]
            else:
                kinds = {fault: save_faults.FAULTS[fault]}
                problems = save_faults.sweep(bench, place, [operation], False, kinds)["problems"]
            for problem in problems[:1]:
                print(f"  {problem}", flush=True)
            code = min(len(problems), 250)
        except AssertionError as problem:  # the operation alone does not keep its promise
            print(f"  {problem}", flush=True)
            code = 1
        except BaseException as problem:
            print(f"  cannot run: {type(problem).__name__}: {problem}", flush=True)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return -1 if code in (255,) or code < 0 else code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    rows, missed = [], []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        os.environ["DESCEND_CACHE_DIR"] = str(place / "cache")
        import saves
        from stored import store

        bench = saves.make_bench(place)
        chosen = [m for m in (*SYNCS, *CHECKS) if arguments.only in m.name]
        for operation, fault in sorted({(m.operation, m.fault) for m in chosen}):
            if problems := count_problems(bench, place, None, operation, fault):
                missed.append(f"the code as it is: {operation}, {fault}: {problems}")
        for mutation in chosen:
            problems = count_problems(bench, place, mutation, mutation.operation, mutation.fault)
            print(f"{mutation.name}: {problems}", flush=True)
            rows.append({"mutation": mutation.name, "test": f"{mutation.operation}, "
                         f"{mutation.fault}", "noticed": problems > 0})  # fmt: skip
            if problems <= 0:
                missed.append(mutation.name)
    store("mutations", {
        "syncs": sum(m in SYNCS for m in chosen), "checks": sum(m in CHECKS for m in chosen),
        "noticed": sum(r["noticed"] for r in rows), "failures": len(missed), "missed": missed,
        "mutations": rows,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    try:
        fault_injection.restart_preloaded()
    except MissingToolError as missing:
        sys.exit(f"not run: it needs {missing}")
    main()

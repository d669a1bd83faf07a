"""Takes one sync, or one check, out of our code at a time: a test must notice each.

    python benchmarks/reliability/mutations.py --kind syncs|checks [--out FILE]

Each mutation is made in a forked process, which then plays the crash states of an operation, or
tries one kind of fault in it. The exit code is 1 if one is not noticed, or if the code as it is
fails.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import fault_injection
from campaign_options import begin_within, make_parser
from stored import scratch_folder, store


class Mutation(NamedTuple):
    """A line of a function, what stands there instead, and the operation that must fail then."""

    name: str
    place: str
    """Module, and function or class in it."""
    line: str
    instead: str
    operation: str
    fault: str = "crash states"


def without_sync(place: str, line: str, operation: str) -> Mutation:
    """A sync taken out."""
    return Mutation(f"no `{line}` in `{place}`", place, line, "pass", operation)


ATOMIC, CACHE, CORPUS = "runs.atomic_write", "data.cache_build", "data.corpus_builder"

SYNCS = (
    without_sync("guard:sync_file", "os.fsync(descriptor)", "cache"),
    without_sync("guard:sync_folder", "os.fsync(descriptor)", "checkpoint"),
    without_sync(f"{ATOMIC}:_write_synced", "os.fsync(file.fileno())", "checkpoint"),
    without_sync(f"{ATOMIC}:write_folder_atomic", "sync_folder(aside)", "checkpoint"),
    without_sync(f"{ATOMIC}:write_folder_atomic", "sync_folder(folder.parent)", "checkpoint"),
    without_sync(f"{ATOMIC}:write_file_atomic", "sync_folder(path.parent)", "records"),
    without_sync(f"{ATOMIC}:make_folder", "sync_folder(new.parent)", "new run"),
    without_sync("runs.event_log:sync_events", "os.fsync(file.fileno())", "checkpoint"),
    without_sync("training.checkpoint:save_checkpoint", "sync_events(folder)", "checkpoint"),
    without_sync(f"{CACHE}:_seal", "sync_file(path)", "cache"),
    without_sync(f"{CACHE}:_seal", "sync_file(folder / MANIFEST)", "cache"),
    without_sync(f"{CACHE}:_seal", "sync_folder(folder)", "cache"),
    without_sync(f"{CACHE}:build_once", "sync_folder(folder.parent)", "cache"),
    without_sync(f"{CORPUS}:_gather", "os.fsync(file.fileno())", "corpus"),
    without_sync(f"{CORPUS}:_publish", "sync_file(aside)", "corpus"),
    without_sync(f"{CORPUS}:_publish", "sync_folder(dest)", "corpus"),
    without_sync(f"{CORPUS}:_publish", "sync_folder(dest.resolve().parent)", "corpus"),
)

CHECKS = (
    Mutation("a checkpoint is not read back", f"{ATOMIC}:write_folder_atomic",
             "if not verify_folder(aside):", "if False:", "checkpoint", "flipped bit"),
    Mutation("one checkpoint is kept", "training.checkpoint", "CHECKPOINT_COUNT = 2",
             "CHECKPOINT_COUNT = 1", "checkpoint", "killed after"),
    Mutation("what was moved away does not come back", f"{ATOMIC}:recover_partial_writes",
             "aside.rename(target)", "pass", "same step", "killed after"),
    Mutation("half of a line passes for one", "runs.event_log:EventLog",
             "if self._file.write(line) != len(line):", "if self._file.write(line) < 0:",
             "checkpoint", "short write"),
    Mutation("the old manifest stays beside a new model", "runs.model_files:save_model",
             "manifest.unlink(missing_ok=True)", "pass", "model", "killed after"),
    Mutation("partial files stay", f"{ATOMIC}:recover_partial_writes", "remove_folder(aside)",
             "pass", "checkpoint", "killed before"),
    Mutation("a file is written in its place", f"{ATOMIC}:write_file_atomic",
             'aside = path.with_name(f".{path.name}.{name_writer()}.partial")', "aside = path",
             "records", "killed after"),
    Mutation("an error of the disk is no sentence", f"{ATOMIC}:_disk_errors",
             "raise disk_error(path, problem) from None", "raise", "checkpoint", "EIO"),
)  # fmt: skip


def change_source(mutation: Mutation) -> tuple[types.ModuleType, str]:
    """The module of a mutation, and its source with the one line changed."""
    name, _, function = mutation.place.partition(":")
    module = importlib.import_module(f"descend.{name}")
    assert module.__file__ is not None
    lines = Path(module.__file__).read_text(encoding="utf-8").splitlines(keepends=True)
    first, last = 0, len(lines)
    if function:
        node = next(n for n in ast.parse("".join(lines)).body if getattr(n, "name", "") == function)
        first, last = node.lineno - 1, node.end_lineno or len(lines)
    part = "".join(lines[first:last])
    if part.count(mutation.line) != 1:
        raise ValueError(f"{mutation.line} stands {part.count(mutation.line)} times in {name}")
    part = part.replace(mutation.line, mutation.instead)
    return module, "".join(lines[:first]) + part + "".join(lines[last:])


def mutate(mutation: Mutation) -> None:
    """Put the changed code into the functions of the module that is loaded."""
    module, source = change_source(mutation)
    scratch = types.ModuleType(module.__name__)
    scratch.__file__ = module.__file__
    exec(compile(source, str(module.__file__), "exec"), scratch.__dict__)
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


def count_problems(
    bench, place: Path, mutation: Mutation | None, operation: str, fault: str
) -> int:
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


def try_all(bench, place: Path, mutations: tuple[Mutation, ...], minutes: float) -> dict[str, Any]:
    """Make each mutation for which there is time; which were noticed."""
    rows, missed = [], []
    for operation, fault in sorted({(m.operation, m.fault) for m in mutations}):
        if problems := count_problems(bench, place, None, operation, fault):
            missed.append(f"the code as it is: {operation}, {fault}: {problems}")
    for mutation in begin_within(minutes, mutations):
        problems = count_problems(bench, place, mutation, mutation.operation, mutation.fault)
        print(f"{mutation.name}: {problems}", flush=True)
        rows.append({"mutation": mutation.name, "test": f"{mutation.operation}, {mutation.fault}",
                     "noticed": problems > 0})  # fmt: skip
        if problems <= 0:
            missed.append(mutation.name)
    return {
        "noticed": sum(r["noticed"] for r in rows), "failures": len(missed), "missed": missed,
        "planned": len(mutations), "mutations": rows,
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--kind", choices=("syncs", "checks"), required=True)
    arguments = parser.parse_args()
    with scratch_folder() as place:
        import saves

        chosen = SYNCS if arguments.kind == "syncs" else CHECKS
        result = try_all(saves.make_bench(place), place, chosen, arguments.minutes)
    store(f"mutations_{arguments.kind}", result, arguments.out)
    sys.exit(1 if result["missed"] else 0)


if __name__ == "__main__":
    fault_injection.run_preloaded(main)

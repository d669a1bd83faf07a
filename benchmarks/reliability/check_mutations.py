"""Takes one check out of our code at a time: the test of its promise must fail.

    python benchmarks/reliability/check_mutations.py [--missing] [--only WORD] [--out FILE]

pytest is run in forked children of one process, which put the changed line into the loaded code.
Every test must pass without a mutation, and fail with it. The exit code is 1 otherwise. With
`--missing` a mutation that the stored results hold as noticed is kept from there with its commit.
A result names a mutation by its promise, and by a hash of its line and its test.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from campaign_options import begin_within, make_parser
from mutations import ATOMIC, CACHE, Mutation, mutate
from stored import RESULTS, ROOT, read_commit, scratch_folder, store

RELIABILITY, GATE = "tests/reliability", "tests/web/serve/test_serve_gate.py"
GATE_ROUTE = (
    f"{GATE}::test_each_route_opens_only_with_key_host_and_origin[GET-/v1/models-/v1/models--200]"
)


class Check(NamedTuple):
    """A line of a function, what stands there instead, and the test that must fail then."""

    promise: str
    place: str
    line: str
    instead: str
    test: str


CHECKS = (
    Check("threads never mix what they write", f"{ATOMIC}:write_file_atomic",
          "{name_writer()}", "{os.getpid()}",
          f"{RELIABILITY}/test_two_writers.py::test_threads_that_write_the_same_file_never_mix"),
    Check("a disk without locks is named", "runs.lock:_lock_error",
          "if problem.errno not in NO_LOCKS:", "if True:", f"{RELIABILITY}/test_locks.py::"
          "test_disk_without_locks_is_named_and_nothing_is_written[ENOLCK]"),
    Check("a lock is free though a forked child runs", "runs.file_lock:release_lock",
          "_unlock(descriptor)", "pass",
          f"{RELIABILITY}/test_locks.py::test_lock_is_free_after_a_fork_that_still_runs"),
    Check("a process is of one boot", "web.studio.processes:process_birth",
          'f"{fields[19]} {boot}"', 'f"{fields[19]} 0"', f"{RELIABILITY}/test_clock_jumps.py::"
          "test_process_that_another_boot_began_is_another_one"),
    Check("a damaged cache is detected", f"{CACHE}:is_whole",
          "if path.stat().st_size != seal.bytes or hash_file(path) != seal.sha256:", "if False:",
          f"{RELIABILITY}/test_cache.py::test_every_file_of_the_cache_is_checked_and_made_again[flip]"),
    Check("a store of another version is rebuilt", f"{CACHE}:open_cached",
          "return open_folder(build_once(folder, build, anew=True))", "return open_folder(folder)",
          f"{RELIABILITY}/test_cache.py::test_store_is_made_again_when_it_is_of_another_format[{{}}]"),
    Check("a changed record of the cache is not used", "runs.cached_record:read_cached",
          "if is_sealed(content)", "if content", f"{RELIABILITY}/test_cache.py::"
          "test_cached_record_is_as_if_it_was_not_there_when_any_bit_changed[StepTime]"),
    Check("a damaged copy of a stream is refused", "data.corpus:_check_stream_copy",
          "if hash_file(path) != path.stem:", "if False:",
          f"{RELIABILITY}/test_cache.py::test_copy_of_a_stream_is_refused_when_it_is_damaged"),
    Check("a resume compares the hash of the tokens", "training.resumption:check_tokens",
          'if before and before != getattr(store.info, f"{side}_sha256"):', "if False:",
          f"{RELIABILITY}/test_cache.py::test_a_resume_compares_the_hash_of_the_tokens"),
    Check("checkpoints are in the order of saves", "runs.checkpoint_folders:checkpoints",
          "(count_rollbacks(path), int(match[1]), path)", "(0, int(match[1]), path)",
          f"{RELIABILITY}/test_checkpoints.py::"
          "test_save_checkpoint_keeps_two_in_the_order_of_saves_when_a_run_went_back"),
    Check("the checkpoint that stays is verified", "training.checkpoint:save_checkpoint",
          "filter(verify_folder, older)", "older", f"{RELIABILITY}/test_checkpoints.py::"
          "test_save_checkpoint_keeps_the_whole_one_when_the_newest_was_damaged[state.json]"),
    Check("two checkpoints are kept", "training.checkpoint", "CHECKPOINT_COUNT = 2",
          "CHECKPOINT_COUNT = 1", f"{RELIABILITY}/test_checkpoints.py::"
          "test_save_checkpoint_keeps_two_in_the_order_of_saves_when_a_run_went_back"),
    Check("the events of a resume are those of its branch", "runs.event_log:_before_checkpoint",
          "if num_rollbacks is not None and num_rollbacks <= len(rollbacks):", "if False:",
          f"{RELIABILITY}/test_checkpoints.py::"
          "test_resume_reads_its_own_events_when_the_record_of_its_save_is_lost"),
    Check("a bad number enters no checkpoint", "training.trainer:_go_back",
          "check_numbers(state, plan.batches.epoch_at_step(max(state.step - 1, 0)))", "pass",
          f"{RELIABILITY}/test_checkpoints.py::"
          "test_a_number_that_the_loss_does_not_see_enters_no_checkpoint[weight-9]"),
    Check("a folder that is gone ends the run", "training.run_writer:FolderWriter",
          "self._locked_folder.check()", "pass", f"{RELIABILITY}/test_checkpoints.py::"
          "test_training_names_the_folder_when_it_goes_in_mid_run"),
    Check("events are synced before a checkpoint", "training.checkpoint:save_checkpoint",
          "sync_events(folder)", "pass",
          f"{RELIABILITY}/test_checkpoints.py::test_events_are_durable_before_a_checkpoint_is"),
    Check("a second writer is refused", "training.run_writer:open_run_writer",
          "_check_unchanged(run)", "pass", f"{RELIABILITY}/test_two_writers.py"),
    Check("only regular files are read", "guard:open_regular",
          "if not stat.S_ISREG(os.fstat(descriptor).st_mode):", "if False:",
          "tests/test_guard.py::test_open_regular_refuses_when_path_is_no_regular_file[pipe]"),
    Check("a file is read only up to its limit", "guard:read_regular", "if size > max_bytes:",
          "if False:", f"{RELIABILITY}/test_strangers.py::"
          "test_only_regular_files_of_sane_size_are_read[huge-run.json]"),
    Check("no link redirects a write", f"{ATOMIC}:check_real_folder", "if folder.is_symlink():",
          "if False:", f"{RELIABILITY}/test_strangers.py::"
          "test_checkpoints_that_lead_elsewhere_are_neither_read_nor_written"),
    Check("a path of a stranger is not followed", "data.cache_dir:check_path",
          "if _path_mark(path).exists() or _is_own_run(where):", "if True:",
          f"{RELIABILITY}/test_strangers.py::"
          "test_a_text_that_the_user_never_named_is_not_read[secret.txt]"),
    Check("a hostile tokenizer is refused", "data.tokenizer:parse_tokenizer",
          "checked = check_tokenizer(content)", "checked = content.decode()",
          f"{RELIABILITY}/test_strangers.py::test_a_hostile_normalizer_is_a_sentence"),
    Check("an alias bomb is refused", "config_sources", "isinstance(event, yaml.AliasEvent)",
          "False",
          f"{RELIABILITY}/test_strangers.py::test_a_configuration_that_explodes_is_a_sentence"),
    Check("a changed line of the log is left out", "runs.event_log:_read",
          "if not chain.check(line):", "if False:",
          f"{RELIABILITY}/test_records.py::test_a_changed_digit_is_not_reported_as_the_loss"),
    Check("a changed record is damage", "runs.run_files:_read", "check_seal(content)", "pass",
          f"{RELIABILITY}/test_records.py::test_a_changed_digit_in_a_record_is_damage"),
    Check("run folders are private", "runs.lock:lock_run_folder", "PRIVATE", "0o755",
          f"{RELIABILITY}/test_inert.py::test_the_folder_of_a_run_and_the_cache_are_private"),
    Check("a resume says why bits may differ", "training.resumption:list_differences",
          "if now[k] != before[k]", "if False", f"{RELIABILITY}/test_envelope.py::"
          "test_resume_names_what_differs_when_the_machine_is_another"),
    Check("a newer record is refused", "runs.record_version:check_version",
          "if field.name in _KEYS and", "if False and",
          "tests/runs/test_stored_folders.py::test_record_of_a_newer_descend_is_refused"),
    Check("a request names this host", "web.gate:Gate", "self._check_address(scope)", "pass",
          GATE_ROUTE),
    Check("a request comes from this page", "web.gate:Gate", "self._check_origin(scope)", "pass",
          GATE_ROUTE),
    Check("a request has a credential", "web.gate:Gate", "self._check_credential(scope)", "pass",
          GATE_ROUTE),
    Check("a request is of bounded length", "web.gate:Gate", "self._check_length(scope, limit)",
          "pass", f"{GATE}::test_bodies_are_refused_before_they_are_read"),
)  # fmt: skip


def run_tests(tests: list[str], check: Check | None, place: Path) -> int:
    """Run tests in a child, in which `check` is taken out; the exit code of pytest."""
    import pytest

    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.dup2(os.open(place / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            if check is not None:
                mutate(Mutation(check.promise, check.place, check.line, check.instead, ""))
            code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={place}/tests",
                                "-o", "addopts=--import-mode=importlib", *tests])  # fmt: skip
        except BaseException as problem:
            print(f"cannot run: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
        finally:
            sys.stdout.flush()
            os._exit(int(code))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def identify(check: Check) -> str:
    """A hash that changes with the mutation or its test."""
    return hashlib.sha256("\n".join(check).encode()).hexdigest()[:12]


def noticed_before() -> list[dict[str, Any]]:
    """The mutations of the stored results that were noticed and are as they are now."""
    path = RESULTS / "check_mutations.json"
    if not path.exists():
        return []
    now = {check.promise: identify(check) for check in CHECKS}
    rows = json.loads(path.read_text(encoding="utf-8"))["mutations"]
    return [row for row in rows if row["noticed"] and row["check"] == now.get(row["promise"])]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--missing", action="store_true", help="not those that were noticed before")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    import descend.api
    import descend.training.trainer  # noqa: F401

    rows = noticed_before() if arguments.missing else []
    missed = []
    known = {row["promise"] for row in rows}
    chosen = [c for c in CHECKS if arguments.only in c.promise and c.promise not in known]
    with scratch_folder() as place:
        for check in begin_within(arguments.minutes, chosen):
            if code := run_tests([check.test], None, place):
                missed.append(f"{check.promise}: the code as it is: pytest ends with {code}")
            code = run_tests([check.test], check, place)
            print(f"{check.promise}: {code}", file=sys.stderr, flush=True)
            rows.append({"promise": check.promise, "check": identify(check),
                         "noticed": code == 1, "commit": read_commit()})  # fmt: skip
            if code != 1:
                missed.append(f"{check.promise}: pytest ends with {code}")
    tried = {row["promise"] for row in rows}
    store("check_mutations", {
        "total": len(rows), "noticed": sum(row["noticed"] for row in rows),
        "failures": len(missed), "missed": missed,
        "not_run": [c.promise for c in CHECKS if c.promise not in tried], "mutations": rows,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if missed or not rows else 0)


if __name__ == "__main__":
    main()

"""The table of the campaign in docs/reliability.md, from the stored results alone.

python benchmarks/reliability/table.py           write it
python benchmarks/reliability/table.py --check   exit 1 if the page says something else
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- campaign: begin -->\n", "<!-- campaign: end -->\n"

Result = dict[str, Any]


class Row(NamedTuple):
    """A promise, its part of the campaign, its figure, and the mutation that the part notices."""

    promise: str
    part: str
    figure: Callable[[Result], str]
    mutation: str
    options: str | None = None
    """Instead of those of the stored command."""


def of_total(result: Result, failures: str = "failures") -> str:
    """`0 of n`, with the bound that this leaves."""
    text = f"{result[failures]} of {result['total']:,}"
    bound = result.get("bound")
    return text if result[failures] or bound is None else f"{text} (< {bound:.2%})"


def not_run(result: Result, done: int) -> str:
    """What of the planned cases there was no time for, if any."""
    return count_if_any(result.get("planned", done) - done, "not run")


def count_if_any(count: int, what: str) -> str:
    """`; n of that`, or nothing."""
    return f"; {count:,} {what}" if count else ""


def count_after_fix(result: Result) -> str:
    """What the same found once its cause was fixed."""
    again = result.get("after_the_fix")
    return f"; {again['failures']} of {again['inputs']:,} after a fix" if again else ""


def tested(name: str, promise: str, mutation: str) -> Row:
    """A promise that tests hold by themselves."""

    def figure(result: Result) -> str:
        counts = result["promises"].get(name)
        if counts is None:
            return "*not run*"
        left = count_if_any(counts["not_run"], "not run")
        return f"{counts['failures']} of {counts['total']} tests{left}"

    return Row(promise, "tested_promises", figure, mutation, name)


def shorten_command(command: str) -> str:
    """Leave out the folder of all scripts, and the limit of time."""
    return re.sub(r"^python benchmarks/reliability/| --minutes [\d.]+", "", command)


ROWS = (
    Row("A save is all or nothing at every call, and two good checkpoints always stand",
        "save_faults", lambda r: f"{of_total(r)} faults at {sum(r['calls'].values())} calls of "
        f"{len(r['calls'])} operations" + count_if_any(r["not_fired"], "did not fire")
        + not_run(r, r["total"] + r["not_fired"]),
        "a checkpoint is not read back"),
    Row("Lost power loses nothing, on a disk that keeps only what was synced",
        "crash_states", lambda r: f"{of_total(r)} states after {sum(r['calls'].values())} calls"
        + not_run(r, len(r["calls"])),
        "each sync"),
    Row("The same on a real ext4", "power_cuts",
        lambda r: f"{of_total(r)} cuts, at {r['points']} points", "`os.fsync` of a file"),
    Row("A test notices each sync that is taken out", "mutations_syncs",
        lambda r: f"{r['noticed']} of {len(r['mutations'])} noticed"
        + not_run(r, len(r["mutations"])), ""),
    Row("The same for each check of a save", "mutations_checks",
        lambda r: f"{r['noticed']} of {len(r['mutations'])} noticed"
        + not_run(r, len(r["mutations"])), ""),
    Row("The same for each check of another promise", "check_mutations",
        lambda r: f"{r['noticed']} of {r['total']} noticed"
        + count_if_any(len(r["not_run"]), "not run"), ""),
    Row("A kill at any time loses no more than the steps since a save, and no bit of the result",
        "kills", lambda r: f"{of_total(r)} kills in {r['runs']} runs, {r['in_saves']} of them in a "
        f"save; at most {r['most_steps_lost']} steps lost, with saves up to "
        f"{2 * r['steps_between_saves']} steps apart", "the `.partial` folder of a save"),
    Row("The same where memory is used up",
        "memory_kills", lambda r: f"{of_total(r)} runs ({r['kinds']['kernel']} killed), at most "
        f"{r['most_steps_lost']} steps lost; {r['not_fired']} ended before it",
        "`is_memory_error`"),
    Row("A signal in any phase loses no step that was made", "stop_signals",
        lambda r: f"{of_total(r)} of {r['signals']} signals in {r['phases']} phases",
        "`defer_stop_signals`"),
    Row("A disk that refuses ends a run with a sentence and its last save", "full_disks",
        lambda r: f"{of_total(r)} disks ({', '.join(r['tried'])}), {r['after_a_save']} of them "
        "after a save" + count_if_any(r["not_fired"], "had no effect"),
        "`disk_error`"),
    Row("A resume is exact to the last bit", "exact_resume",
        lambda r: f"{r['failures']} differences in {r['resumes']} resumes of {r['rows']} rows that "
        f"hold all pairs of {len(r['factors']) - (not r['compiled_rows'])} settings",
        "any field of `Snapshot`"),
    Row("The same, compiled", "exact_resume_compiled",
        lambda r: f"{r['failures']} differences in {r['resumes']} resumes of {r['rows']} rows",
        ""),
    Row("A hostile folder ends in a sentence, and nothing outside is touched", "hostile_verbs",
        lambda r: f"{of_total(r)} problems with {r['folders']} folders; slowest "
        f"{r['slowest_cpu_seconds']} s" + not_run(r, r["total"]),
        "`S_ISREG` in `open_regular`"),
    Row("Any key of any record with a value of another type ends in a sentence", "record_types",
        lambda r: f"{of_total(r)} values, a verb each" + not_run(r, r["total"]),
        "`Ordinal` in `Epoch`"),
    Row("The same with folders made without a look at the code", "held_back_folders",
        lambda r: f"{of_total(r)} problems with {r['folders']} folders" + not_run(r, r["total"]),
        ""),
    Row("A number that is not finite enters no checkpoint", "divergence",
        lambda r: f"{of_total(r, 'bad_checkpoints')} planted cases" + not_run(r, r["total"]),
        "`_go_back` before a save"),
    Row("A diverged run ends within 0.05 nat of its twin", "divergence",
        lambda r: f"{r['within_tolerance']} of {r['total']}", "`roll_back`"),
    Row("Any input of a reader ends in a sentence", "fuzz",
        lambda r: f"{of_total(r)} inputs of {r['readers']} readers, guided by coverage, "
        f"{r['seconds_each']:g} s each" + count_after_fix(r), ""),
    Row("Any configuration gives a run or a sentence", "configs",
        lambda r: f"{of_total(r)} configurations, {r['rows']} of them trained", ""),
    Row("Steps add no memory", "memory_steps",
        lambda r: f"{r['slope_mb_per_10000_steps']} MB (< {r['upper_bound']} MB) in 10,000 steps, "
        f"from {r['steps']:,} steps"
        + (f", {r['in_use_slope']} MB of it in use" if "in_use_slope" in r else "")
        + (f"; an epoch adds {r['kb_per_epoch']} kB" if "kb_per_epoch" in r else ""), ""),
    Row("Peak memory is within 15 % of the estimate", "memory_peak",
        lambda r: f"{r['near']} of {r['total']} configurations; {r['least'][0]:.0%} to "
        f"{r['most'][0]:.0%} of it" + not_run(r, r["total"] + r["left_out"]), ""),
    Row("Saves cost at most 2 % of the time", "save_cost",
        lambda r: f"{r['cost']:.2%} ({r['low']:.2%} to {r['high']:.2%}), "
        f"{r['pairs']} pairs of blocks, load {r['load']}", ""),
    tested("damage", "Damage is noticed", "`hash_file(...) != expected`"),
    tested("strangers", "Nothing in a folder is obeyed", "`check_path`"),
    tested("gate", "Every route needs key, host, and origin", "any check in `Gate.__call__`"),
    tested("requests", "No request meets a server error", "`MAX_BODY_BYTES`"),
    tested("users", "Other users get nothing", "`PRIVATE` in `Workspace.make`"),
    tested("inert", "Text runs nothing", "`make_visible`"),
    tested("two", "A folder has one writer", "`_check_unchanged`"),
    tested("old", "Old folders open", "`check_version`"),
    tested("chain", "Versions lie behind advisories", "any hash"),
)  # fmt: skip


def make_table() -> str:
    """The rows in Markdown."""
    lines = ["| promise | figure (95 % bound) | command | mutation that it notices |",
             "| --- | --- | --- | --- |"]  # fmt: skip
    for row in ROWS:
        path = RESULTS / f"{row.part}.json"
        command = f"`make campaign PART={row.part}`"
        figure = "*not run*"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            figure = row.figure(result)
            command = shorten_command(result["command"])
            if row.options is not None:
                command = f"{row.part}.py {row.options}"
            command = f"`` {command} ``" if "`" in command else f"`{command}`"
        lines.append(f"| {row.promise} | {figure} | {command} | {row.mutation} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    new = before + BEGIN + make_table() + END + after
    if "--check" in sys.argv:
        sys.exit(0 if new == page else "docs/reliability.md is not what the results say")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The tables of the planted-fault benchmark, from benchmarks/results/diagnosis/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from result_files import RESULTS, markdown, read, select_columns

SPLITS = ("sealed", "development")
METHOD_NAMES = {
    "curve alone": "loss curve only",
    "curve alone, trained": "loss curve only, trained",
    "settings alone": "configuration only, trained",
    "random search, 4 treatments": "random search, 4 runs",
    "the guide's checklist": "checklist of the guide",
    "the guide's checklist, tuned": "checklist of the guide, tuned",
    "most frequent": "most frequent cause",
}
"""How the pages name the methods of the result files; other names stay."""
EARLIER_USES = {
    "diagnosis, first use of the split",
    "diagnosis, second use of the split",
    "diagnosis, third use of the split",
    "diagnosis, an earlier version",
}
MAX_METHODS = 7
"""On the page, of those that are sorted by top-1; all are in `tables.md`."""


def format_fraction(value: float | None, interval: list[float] | None = None) -> str:
    """Format a fraction with its 95 % interval."""
    if value is None:
        return "–"
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def read_scores(split: str) -> dict[str, Any]:
    """Read the scores of a split."""
    return read(f"diagnosis/scores-{split}.json")


def join_splits(make_table: Callable[[str], str]) -> str:
    """Return the table of each split that has scores, under a heading."""
    scored = [s for s in SPLITS if (RESULTS / f"diagnosis/scores-{s}.json").exists()]
    return "\n".join(f"#### {split}\n\n" + make_table(split) for split in scored)


def score_rows(split: str) -> str:
    """Return the scores of each method on a split."""
    head = ["method", "cases", "top-1", "strict top-1", "top-3", "macro-F1", "top-1 of faults",
            "false alarms", "plain", "alarming"]  # fmt: skip

    def format_alarms(alarms: list[Any]) -> str:
        return "" if alarms[0] is None else f"{format_fraction(alarms[0])} of {alarms[1]}"

    methods = read_scores(split)["readers"].items()
    return markdown(head, [
        [
            METHOD_NAMES.get(name, name), str(r["cases"]),
            format_fraction(r["top1"], r["top1_ci95"]),
            format_fraction(r["top1_strict"]),
            format_fraction(r["top3"], r["top3_ci95"]),
            format_fraction(r["macro_f1"], r["macro_f1_ci95"]),
            format_fraction(r["faults_top1"]),
            format_fraction(r["false_alarms"], r["false_alarms_ci95"]),
            format_alarms(r["false_alarms_plain"]), format_alarms(r["false_alarms_alarming"]),
        ]
        for name, r in sorted(methods, key=lambda item: (-item[1]["top1"], item[0]))
    ])  # fmt: skip


def scores() -> str:
    """Every method on both splits."""
    return join_splits(score_rows)


def scores_sealed() -> str:
    """The best methods on the sealed split: the last use of the diagnosis, and tuned rules only."""
    columns = ("method", "cases", "top-1", "top-3", "macro-F1", "false alarms")
    lines = select_columns(score_rows("sealed"), columns).splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in lines]
    untuned = {name.removesuffix(", tuned") for name in names if name.endswith(", tuned")}
    rows = [x for x, name in zip(lines, names, strict=True) if name not in untuned | EARLIER_USES]
    return "\n".join(rows[: 2 + MAX_METHODS]) + "\n"


def confusion_rows(split: str) -> str:
    """Return the verdicts of the diagnosis with trials by the label of the case."""
    table = read_scores(split)["confusion"].get("diagnosis", {})
    rows = [
        [
            label, str(sum(verdicts.values())), str(verdicts.get(label, 0)),
            ", ".join(f"{count} {name}" for name, count in verdicts.items() if name != label),
        ]
        for label, verdicts in table.items()
    ]  # fmt: skip
    return markdown(["label", "cases", "right", "other verdicts"], rows)


def confusion() -> str:
    """The verdicts by label on both splits."""
    return join_splits(confusion_rows)


def confusion_sealed() -> str:
    """The verdicts by label on the sealed split."""
    return confusion_rows("sealed")


def calibration_rows(split: str) -> str:
    """Return the confidence of the verdicts and how often they were right."""
    bins = read_scores(split)["calibration"].get("diagnosis", [])
    rows = [
        [format_fraction(b["stated"]), format_fraction(b["right"]), str(b["cases"])] for b in bins
    ]
    count = sum(b["cases"] for b in bins) or 1
    error = sum(abs(b["stated"] - b["right"]) * b["cases"] for b in bins) / count
    rows.append(["mean difference", format_fraction(error), str(count)])
    return markdown(["confidence", "right", "cases"], rows)


def calibration() -> str:
    """The calibration on both splits."""
    return join_splits(calibration_rows)


def calibration_sealed() -> str:
    """The calibration on the sealed split."""
    return calibration_rows("sealed")


def repair() -> str:
    """What the recommended changes repaired."""
    head = ["split", "faults", "repaired", "of settings", "of text", "random search, 4 runs",
            "random search, same time", "the same, settings only", "median gap closed",
            "recommendations tried", "harmed"]  # fmt: skip
    searches = ("", "_as_long", "_of_settings_as_long")
    rows = []
    for split in SPLITS:
        if (RESULTS / f"diagnosis/scores-{split}.json").exists():
            r = read_scores(split)["repair"]
            rows.append([
                split, str(r["cases"]), format_fraction(r["repaired"], r["repaired_ci95"]),
                *("{} of {}".format(*r[f"of_{what}"]) for what in ("settings", "text")),
                *(format_fraction(r[f"repaired_by_random_search{how}"]) for how in searches),
                format_fraction(r["gap_closed"]),
                str(r["advised"]), format_fraction(r["harmed"], r["harmed_ci95"]),
            ])  # fmt: skip
    return markdown(head, rows) if rows else ""


def label_rows(split: str) -> str:
    """Return how often the label of a case differs from the planted fault."""
    planted = read_scores(split)["labels"]["by_planted"].items()
    rows = [[cause, str(count), str(changed)] for cause, (changed, count) in planted]
    return markdown(["planted fault", "cases", "labeled otherwise"], rows)


def labels() -> str:
    """The labels of both splits."""
    return join_splits(label_rows)

"""Puts the measured numbers into docs/: the only way they get into these tables.

    python benchmarks/tables.py            rewrite the tables
    python benchmarks/tables.py --check    exit 1 if a table is not what the results say

A table stands between `<!-- measured: NAME -->` and `<!-- end -->`; NAME is a function below.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import speed_tables
from experiment_tables import ATTRIBUTIONS, attributed, rates
from ladder import RECIPE, curve, times_as_long
from ladder import rows as read_variants
from result_files import RESULTS, ROOT, markdown, read

from descend.experiments.estimate import estimate_mean
from descend.report.text.experiments import format_estimate

PAGES = tuple(
    ROOT / "docs" / name
    for name in ("presets.md", "speed.md", "recipe.md", "diagnosis_benchmark.md", "plan.md",
                 "compare.md", "attribute.md")
)  # fmt: skip
PRESET_RUNS = [
    *(("python", run) for run in ("old", "guide", "fast")),
    *(("tinyshakespeare", run) for run in ("old", "old_10", "guide", "fast")),
]
PRESET_NAMES = {"old_10": "old --epoch 10"}
NOT_MEASURED = "*Not measured yet.*\n"
TABLE = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def small() -> str:
    """The recipe at a tenth of the size."""
    lines = (RESULTS / "recipe_small" / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in map(json.loads, lines):
        runs.setdefault((run["corpus"], run["arm"]), []).append(run)
    rows = []
    for (corpus, arm), record in sorted(runs.items(), key=lambda item: item[0][0]):
        best = [min(r["bits_per_byte"]) for r in record]
        last = [r["bits_per_byte"][-1] for r in record]
        curve = record[0]["bits_per_byte"]
        rows.append([
            corpus, arm.replace(",", ", "), str(len(record)), f"{statistics.mean(best):.3f}",
            f"{statistics.mean(last):.3f}", str(1 + curve.index(min(curve))),
            f"{statistics.mean(r['training_loss'][-1] for r in record):.2f}",
        ])  # fmt: skip
    head = ["text", "settings", "seeds", "best", "at the end", "best epoch",
            "training loss at the end"]  # fmt: skip
    return markdown(head, rows)


def recipe_table(name: str) -> str:
    """Each change of the recipe: paired differences over texts and seeds."""
    record = read_variants(RESULTS / "recipe", name)
    points = curve(record)
    lines = []
    for variant, gains, share in record:
        times = times_as_long((variant, gains, share), points)
        ratio_text = "{1:.2f} ({0:.2f} to {2:.2f})".format(*times) if times else "–"
        lines.append([
            variant, format_estimate(estimate_mean(gains)), f"{share:.2f}",
            ratio_text, str(len(gains)),
        ])  # fmt: skip
    head = ["change", "bits per byte against the recipe (95 %)", "its run takes, times",
            "to the recipe's loss, times as long (95 %)", "pairs"]  # fmt: skip
    return markdown(head, [line for line in lines if line[0] != RECIPE])


def epochs_table() -> str:
    """The guide's size, pass by pass."""
    rows = []
    for file in sorted((RESULTS / "recipe").glob("*_passes*.json")):
        run = json.loads(file.read_text(encoding="utf-8"))
        epochs = run["result"]["epochs"]
        rows.append([
            f"`{run['command'].removeprefix('descend train ')}`",
            " ".join(f"{e['bits_per_byte']:.3f}" for e in epochs),
            f"{epochs[-1]['loss_end']:.2f}",
        ])  # fmt: skip
    return markdown(["descend train …", "bits per byte after each pass",
                     "training loss at the end"], rows)  # fmt: skip


def presets() -> str:
    """Where each preset ends on each text."""
    rows = []
    for corpus, preset in PRESET_RUNS:
        record = read(f"presets/{corpus}_{preset}.json")
        result = record["result"]
        last = result["epochs"][-1]
        rows.append([
            corpus, f"`{PRESET_NAMES.get(preset, preset)}`", str(len(result["epochs"])),
            f"{record['resolved']['vocab_size']:,}", f"{last['step']:,}",
            f"{last['loss_end']:.2f}, {last['accuracy_end']:.0%}",
            f"**{result['validation_loss']:.3f}**, {result['validation_accuracy']:.1%}",
            f"{result['ngram_baselines']['bigram']:.2f}", f"**{result['bits_per_byte']:.3f}**",
        ])  # fmt: skip
    head = ["text", "preset", "epochs", "vocabulary", "updates",
            "training: loss, accuracy at the end", "held out: loss, accuracy (best epoch)",
            "pairs of tokens reach", "bits per byte"]  # fmt: skip
    return markdown(head, rows)


def curves() -> str:
    """Epoch by epoch, the guide's line and the held-out loss."""
    head = ["epoch", "training loss", "training accuracy", "held-out loss", "held-out accuracy",
            "bits per byte"]  # fmt: skip
    parts = []
    for corpus, preset in PRESET_RUNS:
        rows = [
            [
                str(e["epoch"]), f"{e['loss_start']:.2f} → {e['loss_end']:.2f}",
                f"{e['accuracy_start']:.0%} → {e['accuracy_end']:.0%}",
                f"{e['validation_loss']:.3f}", f"{e['validation_accuracy']:.1%}",
                f"{e['bits_per_byte']:.3f}",
            ]
            for e in read(f"presets/{corpus}_{preset}.json")["result"]["epochs"]
        ]  # fmt: skip
        name = PRESET_NAMES.get(preset, preset)
        parts.append(f"#### `{name}` on {corpus}\n\n" + markdown(head, rows))
    return "\n".join(parts)


HALVES = ("sealed", "development")
"""Of the planted-fault benchmark; the one to be believed first."""


def share(value: float | None, interval: list[float] | None = None) -> str:
    """A share with its 95 % interval."""
    if value is None:
        return "–"
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def by_half(one: Callable[[dict[str, Any]], str]) -> str:
    """A table of each half of the planted-fault benchmark that has scores."""
    there = [h for h in HALVES if (RESULTS / f"diagnosis/scores-{h}.json").exists()]
    return "\n".join(f"#### {h}\n\n" + one(read(f"diagnosis/scores-{h}.json")) for h in there)


def diagnosis_scores() -> str:
    """Every reader of the planted faults."""
    head = ["reader", "cases", "top-1", "strictly", "top-3", "macro-F1", "faults, top-1",
            "false alarms", "plain", "alarming"]  # fmt: skip

    def of(alarms: list[Any]) -> str:
        return "" if alarms[0] is None else f"{share(alarms[0])} of {alarms[1]}"

    def one(record: dict[str, Any]) -> str:
        readers = sorted(record["readers"].items(), key=lambda x: (-x[1]["top1"], x[0]))
        return markdown(head, [
            [
                name, str(r["cases"]), share(r["top1"], r["top1_ci95"]),
                share(r["top1_strict"]),
                share(r["top3"], r["top3_ci95"]), share(r["macro_f1"], r["macro_f1_ci95"]),
                share(r["faults_top1"]), share(r["false_alarms"], r["false_alarms_ci95"]),
                of(r["false_alarms_plain"]), of(r["false_alarms_alarming"]),
            ]
            for name, r in readers
        ])  # fmt: skip

    return by_half(one)


def diagnosis_confusion() -> str:
    """What was true against what the doctor with trials said; right ones on one line."""

    def one(record: dict[str, Any]) -> str:
        table = record["confusion"].get("doctor", {})
        rows = [
            [
                truth, str(sum(said.values())), str(said.get(truth, 0)),
                ", ".join(f"{n} {name}" for name, n in said.items() if name != truth),
            ]
            for truth, said in table.items()
        ]  # fmt: skip
        return markdown(["in truth", "cases", "said so", "said instead"], rows)

    return by_half(one)


def diagnosis_calibration() -> str:
    """How sure the doctor with trials said it was, in fifths, and how often it was right."""

    def one(record: dict[str, Any]) -> str:
        bins = record["calibration"].get("doctor", [])
        rows = [[share(b["stated"]), share(b["right"]), str(b["cases"])] for b in bins]
        count = sum(b["cases"] for b in bins) or 1
        off = sum(abs(b["stated"] - b["right"]) * b["cases"] for b in bins) / count
        rows.append(["on average apart", share(off), str(count)])
        return markdown(["confidence stated", "right", "cases"], rows)

    return by_half(one)


def diagnosis_repair() -> str:
    """What came of following the advice."""
    head = ["half", "faults with a twin", "repaired", "of settings", "of text",
            "by random search, 4 runs",
            "as long as the doctor", "the same, settings only", "gap closed, median",
            "advice followed", "harmed"]  # fmt: skip
    searches = ("", "_as_long", "_of_settings_as_long")
    rows = []
    for half in HALVES:
        if (RESULTS / f"diagnosis/scores-{half}.json").exists():
            r = read(f"diagnosis/scores-{half}.json")["repair"]
            rows.append([
                half, str(r["cases"]), share(r["repaired"], r["repaired_ci95"]),
                *("{} of {}".format(*r[f"of_{what}"]) for what in ("settings", "text")),
                *(share(r[f"repaired_by_random_search{how}"]) for how in searches),
                share(r["gap_closed"]),
                str(r["advised"]), share(r["harmed"], r["harmed_ci95"]),
            ])  # fmt: skip
    return markdown(head, rows) if rows else ""


def diagnosis_labels() -> str:
    """How often what was planted did not stand the test."""

    def one(record: dict[str, Any]) -> str:
        rows = [
            [cause, str(of), str(wrong)]
            for cause, (wrong, of) in record["labels"]["by_planted"].items()
        ]  # fmt: skip
        return markdown(["planted", "cases", "of them something else in truth"], rows)

    return by_half(one)


def plans() -> str:
    """The plan beside a search and two fixed configurations."""
    summary, rows = read("plan/summary.json"), []
    for r in summary["rows"]:
        if r["plan"] is None:
            continue
        tried = {name: r[name] for name in ("plan", "search", "guide", "nanogpt")}
        best = min(bits for bits in tried.values() if bits is not None)
        columns = {
            name: "–" if bits is None else f"**{bits:.3f}**" if bits == best else f"{bits:.3f}"
            for name, bits in tried.items()
        }
        only = " (report only)" if r["report_only"] else ""
        low, high = r["interval"]
        rows.append([
            f"{r['corpus']}, {r['seconds']:g}{only}", columns["plan"],
            f"{r['expected']:.3f} ({low:.3f} to {high:.3f})",
            columns["search"], columns["guide"], columns["nanogpt"],
        ])  # fmt: skip
    head = ["text, seconds", "plan", "expected (80 %)", "best of the search", "guide",
            "nanoGPT-like"]  # fmt: skip
    coverage = f"{summary['inside_interval']} of {summary['of_plans']}"
    return markdown(head, rows) + (
        f"\n{coverage} plans ended inside the interval of 80 % that was told; outside: "
        f"{'; '.join(summary['outside_interval']) or 'none'}.\n"
    )


TABLES: dict[str, Callable[[], str]] = (
    {
        f.__name__: f
        for f in (
            speed_tables.tokens,
            speed_tables.to_loss,
            speed_tables.writing,
            speed_tables.starting,
            speed_tables.corpora,
            speed_tables.models,
            speed_tables.recording,
            speed_tables.tokenizing,
            small,
            epochs_table,
            presets,
            curves,
            diagnosis_scores,
            diagnosis_confusion,
            diagnosis_calibration,
            diagnosis_repair,
            diagnosis_labels,
            plans,
            rates,
        )
    }
    | {name: partial(attributed, file) for name, file in ATTRIBUTIONS.items()}
    | {name: partial(recipe_table, name) for name in ("ladder", "ladder_now")}
)


def table(name: str) -> str:
    """The table of that name, or the word that its benchmark was not run yet."""
    try:
        return TABLES[name]() or NOT_MEASURED
    except FileNotFoundError:
        return NOT_MEASURED


def filled(text: str) -> str:
    """`text` with every table as the results say."""
    return TABLE.sub(lambda m: m[1] + table(m[2]) + m[3], text)


def main() -> int:
    """Rewrite, or check."""
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (right := filled(text)) != text:
            wrong.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(right, encoding="utf-8")
    print("tables that differ:", ", ".join(wrong) or "none")
    return int(bool(wrong) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())

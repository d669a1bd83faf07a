"""Puts the measured numbers into docs/: the only way they get into these tables.

    python benchmarks/tables.py            rewrite the tables
    python benchmarks/tables.py --check    exit 1 if a table is not what the results say

A table stands between `<!-- measured: NAME -->` and `<!-- end -->`; NAME is a function below.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import diagnosis_tables
import scaling_model
import speed_tables
from ablation_rows import RECIPE, curve, times_as_long
from ablation_rows import rows as read_variants
from experiment_tables import ATTRIBUTIONS, attributed, rates, searched
from result_files import RESULTS, ROOT, markdown, read, select_columns

from descend.experiments.estimate import estimate_mean
from descend.report.text.experiment_tables import format_estimate

PAGES = (
    *(
        ROOT / "docs" / name
        for name in ("presets.md", "speed.md", "recipe.md", "diagnosis_benchmark.md", "plan.md",
                     "scaling.md", "compare.md", "attribute.md", "hyperparameter_search.md")
    ),
    RESULTS / "tables.md",
)  # fmt: skip
"""The pages of the manual, with short tables, and the page of all tables in full."""
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


SHORT_COLUMNS = ("change", "bits per byte against the recipe (95 %)",
                "to the recipe's loss, times as long (95 %)")  # fmt: skip


SHORT_CHANGES = (
    "vocabulary 2,048", "vocabulary 4,096", "passes 4", "passes 2", "half the batch",
    "twice the batch", "Polar Express, three steps", "eight heads", "cosine", "constant rate",
    "Muon's rate x 2", "Muon's rate / 2", "dropout 0.1", "label smoothing 0.1", "weight decay x 5",
    "GPT-2's network", "AdamW 0.003",
)  # fmt: skip
"""The changes that a default of the recipe rests on."""


def recipe_short() -> str:
    """The changes that the defaults rest on, with their loss and the time to the same loss."""
    head, line, *rows = select_columns(recipe_table("ablation"), SHORT_COLUMNS).splitlines()
    selected = [row for row in rows if row.split(" | ")[0].removeprefix("| ") in SHORT_CHANGES]
    return "\n".join([head, line, *selected]) + "\n"


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
    head = ["text", "preset", "epochs", "vocabulary", "steps",
            "training: loss, accuracy at the end", "validation: loss, accuracy (best epoch)",
            "bigram baseline", "bits per byte"]  # fmt: skip
    return markdown(head, rows)


def curves() -> str:
    """Epoch by epoch, the guide's line and the validation loss."""
    head = ["epoch", "training loss", "training accuracy", "validation loss", "validation accuracy",
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


def plans(seconds: float | None = None) -> str:
    """The plan beside a search and two fixed configurations; with `seconds` only those rows."""
    summary, rows = read("plan/summary.json"), []
    for r in summary["rows"]:
        if r["plan"] is None or seconds not in (None, r["seconds"]):
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
    coverage = f"Of all {summary['of_plans']} plans {summary['inside_interval']}"
    return markdown(head, rows) + (
        f"\n{coverage} ended inside their 80 % interval. Outside: "
        f"{' and '.join(summary['outside_interval']) or 'none'}.\n"
    )


def plans_short() -> str:
    """The plans for a minute."""
    return plans(60)


def symbols() -> str:
    """Texts of symbols and others with characters and with byte-pair encoding."""
    with (RESULTS / "plan/symbols.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {"char": "characters", "bpe": "byte-pair encoding"}
    cells = [
        [row["text"], f"{int(row['bytes']):,}", row["char"], row["bpe"], names[row["chosen"]]]
        for row in rows
    ]
    head = ["text", "bytes", "characters", "byte-pair encoding, 512", "chosen"]
    return markdown(head, cells)


TABLES: dict[str, Callable[[], str]] = (
    {
        f.__name__: f
        for f in (
            speed_tables.tokens,
            speed_tables.to_loss,
            speed_tables.to_loss_short,
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
            recipe_short,
            speed_tables.tokens_guide,
            speed_tables.corpora_short,
            scaling_model.processes,
            scaling_model.scaling,
            diagnosis_tables.scores,
            diagnosis_tables.scores_sealed,
            diagnosis_tables.confusion,
            diagnosis_tables.confusion_sealed,
            diagnosis_tables.calibration,
            diagnosis_tables.calibration_sealed,
            diagnosis_tables.repair,
            diagnosis_tables.labels,
            plans,
            plans_short,
            symbols,
            rates,
            searched,
        )
    }
    | {name: partial(attributed, file) for name, file in ATTRIBUTIONS.items()}
    | {name: partial(recipe_table, name) for name in ("ablation", "ablation_now")}
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
    parser = argparse.ArgumentParser(description="Write the tables of the pages from the results.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if one differs")
    is_check = parser.parse_args().check
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (right := filled(text)) != text:
            wrong.append(page.name)
            if not is_check:
                page.write_text(right, encoding="utf-8")
    print("tables that differ:", ", ".join(wrong) or "none")
    return int(bool(wrong) and is_check)


if __name__ == "__main__":
    sys.exit(main())

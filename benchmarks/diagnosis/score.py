"""Scores from the tables, without any training.

    python benchmarks/diagnosis/score.py RESULTS [--split SPLIT]

Prints, and writes to RESULTS/scores-SPLIT.json: how labels stood the test, and
for each reader top-1 and top-3 in the truth set, macro-F1, false alarms, calibration, repair and
harm, with 95 % intervals from a bootstrap over corpora, then cases within them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines import RULES, Example, configuration, curve, nearest, tune_thresholds
from campaign import complete
from cases import cases
from diagnose_cases import ADVICE, PROOF
from signs import Signs, read_signs
from table import Diagnosed, Trained, add_split_option, read
from truth import WORTH, Truth, truths

DRAWS = 2000
REPAIRED = 0.02
"""Within so much of the healthy twin's loss the advice counts as a repair."""
IN_THE_TEXT = {"too_little_data", "duplicate_data", "data_leakage", "distribution_shift"}
"""Causes of which no setting rids a run."""
RANDOM_TRIES = 4
"""Treatments that random search may try: about what the first trial series of the diagnosis
tries."""

MORE_TEXT = "too_little_data"
"""Cause whose treatment is no setting."""

Scored = tuple[Truth, Diagnosed]


def right(truth: Truth, diagnosed: Diagnosed, first: int = 1, *, strict: bool = False) -> bool:
    """Whether one of the first so many of what was said is accepted."""
    answers = [diagnosed.verdict, *diagnosed.ranked] if first > 1 else [diagnosed.verdict]
    accepted = truth.strict if strict else truth.accepted
    return bool(set(list(dict.fromkeys(answers))[:first]) & accepted)


def macro_f1(pairs: Sequence[Scored]) -> float:
    """Mean F1 over the causes that are true somewhere, `healthy` among them. A verdict within the
    truth set counts for that cause; else the case counts for the cause that gains most."""
    true: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    both: Counter[str] = Counter()
    for truth, diagnosed in pairs:
        hit = diagnosed.verdict in truth.accepted
        label = diagnosed.verdict if hit else label_of(truth)
        true[label] += 1
        predicted[diagnosed.verdict] += 1
        both[label] += hit
    return statistics.mean(2 * both[c] / (true[c] + predicted[c]) for c in true) if true else 0.0


def label_of(truth: Truth) -> str:
    """One name for a truth set: the cause that gains most."""
    if not truth.causes:
        return "healthy"
    return max(sorted(truth.causes), key=lambda c: truth.gains.get(c, 0.0))


def false_alarms(pairs: Sequence[Scored]) -> float | None:
    """Fraction of the healthy that were given a cause, other than one that may be true."""
    healthy = [(truth, diagnosed) for truth, diagnosed in pairs if not truth.causes]
    none = {"healthy", "unknown", "noise_floor"}
    alarms = [s for t, s in healthy if s.verdict not in none | t.accepted]
    return len(alarms) / len(healthy) if healthy else None


def interval(
    pairs: Sequence[Scored], score: Callable[[Sequence[Scored]], float | None]
) -> list[float] | None:
    """95 % of the score when corpora, then cases within each, are drawn with replacement; the
    order of `pairs` does not matter."""
    by_corpus: dict[str, list[Scored]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair[0].case.name):
        by_corpus[pair[0].case.variant.corpus].append(pair)
    groups, rng = list(by_corpus.values()), random.Random(0)
    values = []
    for _ in range(DRAWS):
        drawn = [p for g in rng.choices(groups, k=len(groups)) for p in rng.choices(g, k=len(g))]
        value = score(drawn)
        if value is not None:
            values.append(value)
    values.sort()
    if not values:
        return None
    return [
        round(values[int(0.025 * len(values))], 3),
        round(values[int(0.975 * len(values)) - 1], 3),
    ]


def scores_of(pairs: Sequence[Scored]) -> dict[str, Any]:
    """All scores of one reader."""
    measures: dict[str, Callable[[Sequence[Scored]], float | None]] = {
        "top1": lambda p: statistics.mean(right(*x) for x in p),
        "top1_strict": lambda p: statistics.mean(right(*x, strict=True) for x in p),
        "top3": lambda p: statistics.mean(right(*x, first=3) for x in p),
        "macro_f1": macro_f1,
        "false_alarms": false_alarms,
        "top1_nothing_to_gain": lambda p: statistics.mean(
            right(*x) or (not x[0].causes and x[1].verdict == "noise_floor") for x in p
        ),
        "abstained": lambda p: statistics.mean(x[1].verdict == "unknown" for x in p),
    }
    plain = [p for p in pairs if not p[0].causes and not p[0].case.alarming]
    alarming = [p for p in pairs if not p[0].causes and p[0].case.alarming]
    scores: dict[str, Any] = {"cases": len(pairs)}
    for name, score in measures.items():
        value = score(pairs)
        scores[name] = None if value is None else round(value, 3)
        scores[f"{name}_ci95"] = interval(pairs, score)
    scores["false_alarms_plain"] = [false_alarms(plain), len(plain)]
    scores["false_alarms_alarming"] = [false_alarms(alarming), len(alarming)]
    scores["faults_top1"] = round(
        statistics.mean([right(*p) for p in pairs if p[0].causes] or [0.0]), 3
    )
    scores["seconds"] = round(statistics.median(p[1].seconds for p in pairs), 1)
    scores["run_seconds"] = round(statistics.median(p[1].run_seconds for p in pairs), 1)
    return scores


def calibration(pairs: Sequence[Scored]) -> list[dict[str, float]]:
    """Of the stated probability of the verdict, in fifths: how often it was right."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for truth, diagnosed in pairs:
        if diagnosed.probabilities and diagnosed.verdict != "unknown":
            p = diagnosed.probabilities[0]
            bins[min(int(5 * p), 4)].append((p, right(truth, diagnosed)))
    return [
        {"stated": round(statistics.mean(p for p, _ in b), 3),
         "right": round(statistics.mean(r for _, r in b), 3), "cases": len(b)}
        for _, b in sorted(bins.items())
    ]  # fmt: skip


def confusion(pairs: Sequence[Scored]) -> dict[str, dict[str, int]]:
    """Truth (as `label_of`, or the verdict where it is accepted) by verdict."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for truth, diagnosed in pairs:
        label = diagnosed.verdict if diagnosed.verdict in truth.accepted else label_of(truth)
        table[label][diagnosed.verdict] += 1
    return {label: dict(row.most_common()) for label, row in sorted(table.items())}


def repair(
    labeled_cases: Sequence[Truth], rows: Sequence[Trained], lengths: Mapping[str, float]
) -> dict[str, Any]:
    """What following the advice came to, beside random search over the same treatments.

    `lengths`: by examined case, what the diagnosis took, in times of the run. Random search may
    try `RANDOM_TRIES` full runs; or as many as take so long, or all there are; or that without
    more text, which no advice can bring. A fault that got no advice counts as not repaired; one
    that ends within `REPAIRED` of its twin as it is has nothing to repair, and is left out.
    `gap_closed`: median fraction of the way from the faulty run's loss to its twin's.
    """
    advised = {r.case: r.best for r in rows if r.treatment == ADVICE}
    losses: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for r in rows:
        if r.cause and r.seed == 0 and r.treatment != ADVICE:
            losses[r.case].append((r.best, r.cause))
    rng, repaired, closed, in_text = random.Random(0), [], [], []
    chance: dict[str, list[bool]] = {"": [], "_as_long": [], "_of_settings_as_long": []}
    for t in labeled_cases:
        if not t.causes or t.twin is None or t.case.name not in lengths:
            continue
        goal = (1 + REPAIRED) * t.twin
        if t.control <= goal:
            continue
        end = advised.get(t.case.name, t.control)
        repaired.append(end <= goal)
        in_text.append(bool(t.causes & IN_THE_TEXT))
        closed.append((t.control - end) / (t.control - t.twin))
        for name, hits in chance.items():
            count = int(lengths[t.case.name]) if name else RANDOM_TRIES
            tries = [best for best, cause in losses[t.case.name]
                     if cause != MORE_TEXT or "settings" not in name]  # fmt: skip
            hits += [
                min([t.control, *rng.sample(tries, min(count, len(tries)))]) <= goal
                for _ in range(200)
            ]
    harmed = [advised[t.case.name] > (1 + WORTH) * t.control for t in labeled_cases
              if t.case.name in advised]  # fmt: skip
    return {
        "cases": len(repaired),
        "repaired": _share(repaired), "repaired_ci95": wilson(repaired),
        **{
            f"of_{name}": [sum(hits), len(hits)]
            for name, is_text in (("settings", False), ("text", True))
            if (hits := [x for x, text in zip(repaired, in_text, strict=True) if text is is_text])
        },
        **{f"repaired_by_random_search{name}": _share(hits) for name, hits in chance.items()},
        "gap_closed": round(statistics.median(closed), 3) if closed else None,
        "advised": len(harmed),
        "harmed": _share(harmed), "harmed_ci95": wilson(harmed),
    }  # fmt: skip


def _share(hits: Sequence[bool]) -> float | None:
    return round(statistics.mean(hits), 3) if hits else None


def wilson(hits: Sequence[bool]) -> list[float] | None:
    """95 % interval of a share (Wilson 1927)."""
    if not hits:
        return None
    n, p, z = len(hits), statistics.mean(hits), 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * ((p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5)
    return [round(max(0.0, centre - half), 3), round(min(1.0, centre + half), 3)]


def labels(labeled_cases: Sequence[Truth]) -> dict[str, Any]:
    """How often the planted label did not stand the test."""
    by_cause: dict[str, list[bool]] = defaultdict(list)
    for t in labeled_cases:
        by_cause["+".join(t.case.planted) or "healthy"].append(t.relabelled)
    return {
        "cases": len(labeled_cases),
        "undecided": sum(bool(t.ambiguous) for t in labeled_cases),
        "relabelled": round(statistics.mean(t.relabelled for t in labeled_cases), 3),
        "by_planted": {c: [sum(b), len(b)] for c, b in sorted(by_cause.items())},
        "truth": {
            t.case.name: {
                "truth": sorted(t.causes) or ["healthy"], "undecided": sorted(t.ambiguous),
            }
            for t in labeled_cases
        },
    }  # fmt: skip


def _verdict(truth: Truth, reader: str, ranked: list[str]) -> Scored:
    """What a reader made here says, as a row of the table of verdicts."""
    return truth, Diagnosed(
        case=truth.case.name, reader=reader, verdict=ranked[0], ranked=ranked[:3],
        probabilities=[], recommended_config={}, seconds=0.0, run_seconds=0.0,
    )  # fmt: skip


def made_here(
    labeled_cases: Sequence[Truth], known: Sequence[Truth], rows: Sequence[Trained]
) -> dict[str, list[Scored]]:
    """Readers that need the labels of development (`known`), or the treatments themselves.

    On development a case is read with the labels of the other corpora alone.
    """
    readers: dict[str, list[Scored]] = defaultdict(list)
    tried: dict[str, list[Trained]] = defaultdict(list)
    for r in rows:
        if r.cause and r.seed == 0 and r.treatment != ADVICE:
            tried[r.case].append(r)
    rng = random.Random(0)
    for t in labeled_cases:
        others = [k for k in known if k.case.variant.corpus != t.case.variant.corpus]
        if others:
            named = [(configuration(k.case), label_of(k)) for k in others]
            ranked = nearest(configuration(t.case), named)
            readers["settings alone"].append(_verdict(t, "settings alone", ranked))
            common = [c for c, _ in Counter(label for _, label in named).most_common(3)]
            readers["most frequent"].append(_verdict(t, "most frequent", common))
        own = tried[t.case.name]
        drawn = rng.sample(own, min(RANDOM_TRIES, len(own)))
        better = sorted((r.best, r.cause) for r in drawn if r.best < (1 - WORTH) * t.control)
        ranked = [cause for _, cause in better] or ["healthy"]
        name = f"random search, {RANDOM_TRIES} treatments"
        readers[name].append(_verdict(t, name, ranked))
    return readers


TUNED, CURVE_TRAINED = ", tuned", "curve alone, trained"


def by_signs(
    labeled_cases: Sequence[Truth], known: Sequence[Truth], signs: Mapping[str, Signs]
) -> dict[str, list[Scored]]:
    """Readers of a run's signs: the published rules as they are; and fitted to development
    (`known`), the rules with thresholds that are right most often there, and nearest neighbours by
    the curve.

    On development a case is read with what the other corpora taught alone.
    """
    readers: dict[str, list[Scored]] = defaultdict(list)
    corpora = {t.case.variant.corpus for t in labeled_cases}
    for corpus in sorted(corpora):
        own = [t for t in labeled_cases if t.case.variant.corpus == corpus]
        others = [t for t in known if t.case.variant.corpus != corpus]
        taught: list[Example] = [(t.case.values, signs[t.case.name], t.accepted) for t in others]
        if not taught:
            continue
        for rules in RULES:
            readers[rules.name] += [
                _verdict(
                    t,
                    rules.name,
                    rules.judge(t.case.values, signs[t.case.name], rules.published),
                )
                for t in own
            ]
            at, name = tune_thresholds(rules, taught), rules.name + TUNED
            readers[name] += [
                _verdict(t, name, rules.judge(t.case.values, signs[t.case.name], at)) for t in own
            ]
        neighbors = [(curve(signs[t.case.name]), label_of(t)) for t in others]
        readers[CURVE_TRAINED] += [
            _verdict(t, CURVE_TRAINED, nearest(curve(signs[t.case.name]), neighbors)) for t in own
        ]
    return readers


def labelled(results: Path, half: str) -> tuple[list[Truth], list[Trained]]:
    """The cases of one half on which every treatment was tried, and all runs."""
    rows = read(results / f"runs-{half}.jsonl", Trained)
    by_case: dict[str, list[Trained]] = defaultdict(list)
    for row in rows:
        by_case[row.case].append(row)
    whole = [c for c in cases(half) if complete(c, by_case[c.name])]
    return truths(whole, rows), rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    add_split_option(parser)
    args = parser.parse_args()
    half = args.split
    labeled_cases, rows = labelled(args.results, half)
    known, _ = labelled(args.results, "development")
    by_name = {t.case.name: t for t in labeled_cases}
    signs = read_signs(args.results / "signs-development.jsonl")  # by signs.py, of all cases
    signs |= read_signs(args.results / f"signs-{half}.jsonl")
    by_reader = made_here(labeled_cases, known, rows)
    if lacking := [t.case.name for t in [*labeled_cases, *known] if t.case.name not in signs]:
        raise SystemExit(f"no signs of {len(lacking)} cases, {lacking[0]} among them: run signs.py")
    by_reader |= by_signs(labeled_cases, known, signs)
    for diagnosed in read(args.results / f"verdicts-{half}.jsonl", Diagnosed):
        if diagnosed.case in by_name:
            by_reader[diagnosed.reader].append((by_name[diagnosed.case], diagnosed))
    of_diagnosis = {n: p for n, p in by_reader.items() if n.startswith("diagnosis")}
    result = {
        "labels": labels(labeled_cases),
        "readers": {name: scores_of(pairs) for name, pairs in by_reader.items()},
        "confusion": {n: confusion(p) for n, p in of_diagnosis.items()},
        "calibration": {n: calibration(p) for n, p in of_diagnosis.items()},
        "repair": repair(
            labeled_cases, rows, {d.case: d.seconds / d.run_seconds for _, d in by_reader[PROOF]}
        ),
    }
    path = args.results / f"scores-{half}.json"
    path.write_text(json_lines(result) + "\n", encoding="utf-8")
    label_summary = result["labels"]
    print(f"{half}: {label_summary['cases']} cases, {label_summary['relabelled']:.0%} relabelled")
    for name, s in sorted(result["readers"].items(), key=lambda x: -x[1]["top1"]):
        print(
            f"{name:32} n {s['cases']:3}  top-1 {s['top1']:.2f} {s['top1_ci95']}  "
            f"top-3 {s['top3']:.2f}  F1 {s['macro_f1']:.2f}  alarms {s['false_alarms']}"
        )
    print("repair", result["repair"])
    for t in labeled_cases:
        best = sorted(t.gains.items(), key=lambda x: -x[1])[:3]
        print(f"  {t.case.name}: {label_summary['truth'][t.case.name]['truth']} {best}")


MAX_DEPTH = 3
"""Objects nested deeper than this stand on one line."""


def json_lines(value: Any, depth: int = 0) -> str:
    """JSON with an object of `MAX_DEPTH` levels on several lines, what is deeper on one."""
    if not isinstance(value, dict) or not value or depth >= MAX_DEPTH:
        return json.dumps(value, separators=(",", ":"))
    items = (f"{json.dumps(k)}:{json_lines(v, depth + 1)}" for k, v in value.items())
    return "{\n" + ",\n".join(items) + "\n}"


if __name__ == "__main__":
    main()
